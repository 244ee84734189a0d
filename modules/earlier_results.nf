// The folder of results may hold those of an earlier study, or of this one before it was changed. What this run made takes the
// place of files of the same names (conf/publish.config); the rest must not be taken for this study's.

// Of files and folders that this run leaves in a folder of the results: [result: 'models/mace-both-s1', names: names of its files].
// COMPARE_MODELS puts RESULTS.md into the folder of each model.
def laid_in(folder, paths) {
    def more = folder == 'models' ? ['RESULTS.md'] : []
    paths.flatten().map { path -> [result: "${folder}/${path.name}".toString(), names: path.isDirectory() ? path.list().toList() + more : []] }
}

// Move what this run did not make from liquids/, models/, trajectories/ and dataset/ to earlier/, and say so in one line.
// made: a list of what laid_in says.
def set_aside(outdir, made) {
    def top = file(outdir, glob: false)
    def names = made.collectEntries { one -> [one.result, one.names as Set] }
    // Files of ours beside such folders; others, and folders that no task sealed, are somebody else's.
    def single = ['dataset/test.extxyz', 'dataset/dataset.parquet', 'dataset/dataset.json', 'trajectories/liquid.svg']
    def strange = ['liquids', 'models', 'trajectories', 'dataset'].findAll { folder -> top.resolve(folder).isDirectory() }.collectMany { folder ->
        top.resolve(folder).listFiles().collectMany { path ->
            def result = "${folder}/${path.name}".toString()
            if (!path.isDirectory()) {
                return result in single && !names.containsKey(result) ? [result] : []
            }
            if (names.containsKey(result)) {
                return path.list().findAll { name -> !(name in names[result]) }.collect { name -> "${result}/${name}".toString() }
            }
            path.resolve('SHA256SUMS').exists() ? [result] : []
        }
    }
    strange.each { result ->
        def target = top.resolve("earlier/${result}")
        if (target.isDirectory()) { target.deleteDir() }
        target.parent.mkdirs()
        top.resolve(result).moveTo(target)
    }
    if (strange) {
        def some = strange.sort().take(3).join(', ')
        println "not of this study: ${some}${strange.size() > 3 ? " and ${strange.size() - 3} more" : ''}: now in ${top}/earlier"
    }
}

// Refuse a stub run where a real one has left its report: it would replace it by an empty file.
def refuse_stub_over_results(outdir) {
    def report = file("${outdir}/report.html", glob: false)
    if (workflow.stubRun && report.exists() && report.size() > 0) {
        error("--outdir: ${outdir}: holds a finished study, which -stub would replace by empty files: give another folder")
    }
}

// Refuse a folder of results that another run writes to while it lives, also one of another machine where the file system
// has locks. Returns what is closed at the end; the kernel does so for a run that is killed.
def alone_in(outdir) {
    def folder = file(outdir, glob: false)
    if (folder.toUriString().contains('://')) {
        return null     // object stores have no locks
    }
    refuse_stub_over_results(outdir)
    def path = folder.resolve('pipeline_info/.running')
    path.parent.mkdirs()
    def channel = java.nio.channels.FileChannel.open(path, java.nio.file.StandardOpenOption.CREATE, java.nio.file.StandardOpenOption.WRITE)
    def free = true
    try {
        free = channel.tryLock() != null
    }
    catch (IOException error) {
        log.warn("--outdir: ${outdir}: cannot be locked (${error.message}): start no second run into it")
    }
    if (!free) {
        error("--outdir: ${outdir}: another run is writing its results there: give another folder, or wait until it has ended")
    }
    channel
}

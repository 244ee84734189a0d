// The folder of results may hold those of an earlier study, or of this one before it was changed. What this run made takes the
// place of files of the same names (conf/publish.config); the rest must not be taken for this study's.

// Of files and folders that this run leaves in a part of the results: [place: 'models/mace-both-s1', names: names of its files]
def laid_in(part, paths) {
    paths.flatten().map { path -> [place: "${part}/${path.name}".toString(), names: path.isDirectory() ? path.list().toList() : []] }
}

// Move what this run did not make from models/, trajectories/ and dataset/ to earlier/, and say so in one line.
// made: a list of what laid_in says.
def set_aside(outdir, made) {
    def top = file(outdir, glob: false)
    def names = made.collectEntries { one -> [one.place, one.names as Set] }
    // Files of ours beside such folders; others, and folders that no task sealed, are somebody else's.
    def single = ['dataset/test.extxyz', 'dataset/dataset.parquet', 'dataset/dataset.json', 'trajectories/liquid.svg']
    def strange = ['models', 'trajectories', 'dataset'].findAll { part -> top.resolve(part).isDirectory() }.collectMany { part ->
        top.resolve(part).listFiles().collectMany { path ->
            def place = "${part}/${path.name}".toString()
            if (!path.isDirectory()) {
                return place in single && !names.containsKey(place) ? [place] : []
            }
            if (names.containsKey(place)) {
                return path.list().findAll { name -> !(name in names[place]) }.collect { name -> "${place}/${name}".toString() }
            }
            path.resolve('SHA256SUMS').exists() ? [place] : []
        }
    }
    strange.each { place ->
        def target = top.resolve("earlier/${place}")
        if (target.isDirectory()) { target.deleteDir() }
        target.parent.mkdirs()
        top.resolve(place).moveTo(target)
    }
    if (strange) {
        def some = strange.sort().take(3).join(', ')
        println "not of this study: ${some}${strange.size() > 3 ? " and ${strange.size() - 3} more" : ''}: now in ${top}/earlier"
    }
}

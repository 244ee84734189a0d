// What long tasks say of how far they are, on the screen: a line for each now and then, as its own log has it. Where the work
// folder is in an object store, a log comes only when its task has ended, and nothing is said.

// Begin to say so: the newest line of each task, where it has a new one, six lines at a time.
def say_progress() {
    def work = workflow.workDir
    def is_seen = !(work.toUriString() =~ /^(?!file:)\w+:/)
    if (is_seen && !workflow.stubRun) {
        def said = [:]      // by task
        def tell = {
            try {
                say_new_lines(lines_of(work), said)
            }
            catch (IOException gone) {
                log.debug("progress: ${gone.message}")  // a folder may be removed meanwhile
            }
        }
        def timer = new java.util.Timer('progress', true)       // a daemon: the run does not wait for it
        timer.schedule(tell as java.util.TimerTask, 120_000, 120_000)
    }
}

// Show what was not said yet, and note it
def say_new_lines(lines, said) {
    def fresh = lines.findAll { task, line -> said[task] != line }
    fresh.take(6).each { task, line -> println "${task}: ${line}" }
    if (fresh.size() > 6) {
        println "and ${fresh.size() - 6} more tasks"
    }
    said.putAll(fresh)
}

// The last line of progress of each task that runs: its name, and what it says
def lines_of(work) {
    def recent = System.currentTimeMillis() - 240_000
    def logs = folders_in(work).findAll { folder -> folder.name ==~ /\w\w/ }.collectMany { folder -> folders_in(folder) }.take(5000)
        .findAll { folder -> !folder.resolve('.exitcode').exists() }
        .collect { folder -> folder.resolve('.command.err') }
        .findAll { log -> log.exists() && log.lastModified() > recent }
    logs.collectEntries { log -> [name_of(log.parent), progress_in(log)] }.findAll { _task, line -> line }
}

def folders_in(folder) {
    folder.exists() ? folder.listFiles().findAll { path -> path.isDirectory() } : []
}

// RUN_MD (libf4-900K-r1-clp), of the comment that begins .command.run
def name_of(folder) {
    def line = folder.resolve('.command.run').withReader { reader -> (1..5).collect { _n -> reader.readLine() }.find { text -> text?.startsWith('### name:') } }
    (line ?: folder.name).replaceAll(/^### name: '(?:\w+:)*|'$/, '')
}

// The last line of a log that says how far its task is: "3.20 of 10 ps, ...", "9 of 20 frames, ...", "epoch 12 of 200, ..."
def progress_in(log) {
    log.readLines().findAll { line -> line =~ /\d of \d[\d.]* ?\w*,.* left$/ }.with { lines -> lines ? lines[-1] : '' }
}

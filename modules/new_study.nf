// Write a commented study to begin with and stop, when --new_study is given. bin/new_study.py does it, here, with the environment
// `analysis`: nothing is submitted anywhere.
def new_study(given) {
    def of_it = ['ions', 'molecules', 'molality', 'molarity', 'temperature', 'atoms', 'model']
    if (!given.new_study) {
        def idle = of_it.findAll { name -> given[name] }
        if (idle) {
            error(idle.collect { name -> "--${name}: is of a new study: give --new_study FILE.yaml too, or leave it out" }.join('\n'))
        }
        return
    }
    def missing = (given.ions || given.molecules ? [] : ['ions']) + (given.temperature ? [] : ['temperature'])
    if (missing) {
        error(missing.collect { name -> "--${name}: missing; such as --new_study my.yaml --ions emim,bf4 --temperature 353" }.join('\n'))
    }
    def environment = said(["${projectDir}/containers/environment", 'analysis'])
    def options = of_it.findAll { name -> given[name] }.collect { name -> "--${name}=${given[name]}".toString() }
    println said(["${environment}/bin/python", "${projectDir}/bin/new_study.py", given.new_study.toString()] + options)
    System.exit(0)
}

// What a command says; the run ends with what it complains of where it fails.
def said(command) {
    def process = command.collect { word -> word.toString() }.execute(null, launchDir.toFile())
    def out = new StringBuffer()
    def err = new StringBuffer()
    process.waitForProcessOutput(out, err)
    if (process.exitValue() != 0) {
        error(err.toString().trim().readLines().collect { line -> line - 'error: ' }.join('\n'))
    }
    out.toString().trim()
}

// The parameters are described once, in nextflow_schema.json: help and refusals are read from there.
def parameters() {
    def schema = new groovy.json.JsonSlurper().parse(file("${projectDir}/nextflow_schema.json").toFile())
    schema['$defs'].collectEntries { _name, group -> group.properties }
}

// Print every parameter with its default and stop, when --help is given.
def help(given) {
    if (!given.help.toString().toBoolean()) {
        return
    }
    def lines = parameters().collect { name, about ->
        "  --${name.padRight(18)} ${about.description}" + (about.default == null ? '' : " [${about.default}]")
    }
    println """\
        |Ionmelt ${workflow.manifest.version}: ${workflow.manifest.description}
        |
        |  nextflow run main.nf --study FILE.yaml --outdir DIR -profile NAME
        |
        |${lines.join('\n        |')}
        |
        |The study file says everything else; studies/demo.yaml explains it. Profiles: docs/places.md.
        """.stripMargin()
    System.exit(0)
}

// A mistyped parameter would be ignored in silence: refuse it instead.
def refuse_unknown_parameters(given) {
    def known = parameters().keySet()
    def unknown = given.keySet().findAll { name -> !(name in known) && !name.contains('-') }
    if (unknown) {
        error(unknown.collect { name -> "--${name}: unknown parameter; known: ${known.sort().join(', ')}" }.join('\n'))
    }
}

// What each place must be told, which nobody else can know. That its work folder must be in its object storage is said
// by Nextflow.
def needed(profiles) {
    def gpu = 'gpu' in profiles
    [
        awsbatch:    ['aws_queue', 'aws_region', 'aws_cli', 'registry'],
        googlebatch: ['google_project', 'google_location', 'registry'] + (gpu ? ['gpu_type'] : []),
        azurebatch:  ['azure_account', 'azure_location', 'azure_storage', 'registry'] + (gpu ? ['gpu_machine'] : []),
        k8s:         ['k8s_claim', 'registry'],
        slurm:       [],
    ].findAll { place, _names -> place in profiles }
}

// Refuse a place that lacks a parameter, or a GPU that is not there, before anything runs: one line each.
def refuse_missing_parameters(given) {
    def profiles = workflow.profile.tokenize(',')
    def about = parameters()
    def places = needed(profiles)
    def wrong = places.collectMany { place, names ->
        names.findAll { name -> !given[name] }.collect { name -> "--${name}: missing; profile ${place} needs it: ${about[name].description}" }
    }
    if ('azurebatch' in profiles && !System.getenv('AZURE_CLIENT_ID')) {
        wrong += ['AZURE_BATCH_ACCOUNT_KEY', 'AZURE_STORAGE_ACCOUNT_KEY'].findAll { name -> !System.getenv(name) }
            .collect { name -> "${name}: missing; profile azurebatch reads this secret from the environment" }
    }
    if ('gpu' in profiles && !places && !workflow.stubRun && gpus_here() < (given.gpus as Integer)) {
        wrong += ["--gpus: ${given.gpus}; nvidia-smi finds ${gpus_here()} NVIDIA GPUs here: leave out -profile gpu to run on the CPU, or name the place that has them after it, as in -profile gpu,slurm"]
    }
    if (wrong) {
        error(wrong.join('\n'))
    }
}

// How many NVIDIA GPUs the driver of this machine shows.
def gpus_here() {
    try {
        return ['nvidia-smi', '-L'].execute().text.readLines().count { line -> line.startsWith('GPU ') }
    }
    catch (IOException _none) {
        return 0
    }
}

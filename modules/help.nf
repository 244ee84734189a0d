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

// Hold every parameter to nextflow_schema.json before anything runs: one line for each mistake. A mistyped name would be
// ignored in silence, and a wrong value might end a run after hours.
def refuse_wrong_parameters(given) {
    def wrong = wrong_parameters(given)
    if (wrong) {
        error(wrong.join('\n'))
    }
}

// Nextflow adds the camel-case form of --max-memory, which is the one that is judged.
def wrong_parameters(given) {
    def known = parameters()
    given.findAll { name, _value -> !name.contains('-') }
        .collectEntries { name, value -> [name, known.containsKey(name) ? wrong_value(known[name], value) : unknown(name, known.keySet())] }
        .findAll { _name, why -> why }
        .collect { name, why -> "--${name}: ${why}".toString() }
}

def unknown(name, known) {
    def close = known.closest(name)
    "unknown parameter; ${close ? "did you mean --${close[0]}? " : ''}known: ${known.sort().join(', ')}"
}

// What is wrong with a value, or null. It may come as a text or as what Nextflow makes of one: 2, true.
def wrong_value(about, value) {
    def text = value == null ? '' : value.toString()
    if (value instanceof Map || value instanceof Collection) {
        return "${text}: give one value: ${about.description}"
    }
    if (about.type == 'boolean') {
        return text.toLowerCase() in ['true', 'false'] ? null : "'${text}': give true or false: ${about.description}"
    }
    if (about.type == 'integer') {
        return wrong_number(about, text)
    }
    if (text.toLowerCase() in ['true', 'false'] || (!text && about.default)) { // of --NAME without a value Nextflow makes true
        return "no value is given: ${about.description}"
    }
    if (!text) {
        return null
    }
    def choices = about['enum']
    if (choices && !(text in choices)) {
        def close = choices.closest(text)
        return "'${text}': ${close ? "did you mean ${close[0]}? " : ''}give one of ${choices.join(', ')}"
    }
    if (about.pattern && !(text ==~ about.pattern)) {
        return "'${text}': give ${about.errorMessage}"
    }
    about.format ? wrong_path(about, text) : null
}

def wrong_number(about, text) {
    if (!(text ==~ /[+-]?[0-9]+/)) {
        return "'${text}' is not a whole number: ${about.description}"
    }
    def number = new BigInteger(text)
    if (number < about.minimum || number > about.maximum) {
        return "${text} is not between ${about.minimum} and ${about.maximum}: ${about.description}"
    }
    null
}

// A path is a path: no pattern of names. What is in an object store is not looked at here.
def wrong_path(about, text) {
    def scheme = text.contains('://') ? text.tokenize(':')[0] : 'file'
    if (scheme != 'file') {
        return scheme in ['s3', 'gs', 'az'] ? null : "'${text}': give a path, or an address in an object store (s3, gs, az)"
    }
    def path = file(text, glob: false)
    def what = about.format == 'file-path' ? 'file' : 'folder'
    if (!path.exists()) {
        return about.exists ? "'${text}': no such ${what}${text ==~ /.*[*?].*/ ? ': give one, not a pattern' : ''}" : null
    }
    if (what == 'folder') {
        return path.isDirectory() ? null : "'${text}': is no folder: give a folder"
    }
    if (!path.isFile()) { // a pipe or a device would be read for ever
        return "'${text}': is ${path.isDirectory() ? 'a folder' : 'no regular file'}: give a file"
    }
    path.size() > 1000000 ? "'${text}': is larger than 1 MB; is it a ${about.description.tokenize(' ')[0]}?" : null
}

// The plan, once each file that the study names in an object store has been seen there: before anything is computed, not when a
// task takes it.
def with_files_there(plan) {
    plan.map { folder ->
        folder.resolve('files.csv').splitCsv(header: true).findAll { row -> row.path.contains('://') }.each { row -> there(row) }
        folder
    }
}

def there(row) {
    def why = 'no such file'
    try {
        why = file(row.path, glob: false).exists() ? '' : why
    }
    catch (Exception problem) {
        why = "cannot be looked at from here: ${problem.message ?: problem.class.simpleName}"
    }
    if (why) {
        error("${row.role}: ${row.path}: ${why}")
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

// The parameters are described once, in nextflow_schema.json: help and refusals are read from there.
def parameters() {
    groups().collectEntries { group -> group.properties }
}

def groups() {
    def schema = new groovy.json.JsonSlurper().parse(projectDir.resolve('nextflow_schema.json').toFile())
    schema['$defs'].values()
}

// Print every parameter with its default and stop, when --help is given.
def help(given) {
    if (!given.help.toString().toBoolean()) {
        return
    }
    def lines = groups().collectMany { group ->
        ['', "${group.title}:"] + group.properties.collect { name, about ->
            "  --${name.padRight(16)} ${about.description}" + (about.default == null ? '' : " [${about.default}]")
        }
    }
    println """\
        |Ionmelt ${workflow.manifest.version}: ${workflow.manifest.description}
        |
        |  ./nextflow run main.nf                                   the demo, into results/
        |  ./nextflow run main.nf --study FILE.yaml --outdir DIR    a study; before it, with -stub: what it would run and cost
        |  -resume goes on; -profile ENGINE,gpu,PLACE says in what and where (docs/places.md)
        |${lines.join('\n        |')}
        |
        |The study file says everything else: studies/demo.yaml explains it, docs/study.md lists every field.
        """.stripMargin()
    System.exit(0)
}

// Let what our configuration says of all tasks be the last word: what a site says of some of them (withName: '.*:RUN_MD') is read
// there (conf/containers.config), and would take its place. Nextflow takes sections in the order of this map.
def hear_sites() {
    def process = nextflow.Global.session.config.process
    ['withName:(.*)', 'withName:((.*))'].findAll { key -> process.containsKey(key) }.each { key -> process[key] = process.remove(key) }
}

// Refuse what is wrong and what is missing, before anything runs.
def refuse_parameters(given) {
    refuse_wrong_parameters(given)
    refuse_missing_parameters(given)
    if (System.getenv('NXF_SYNTAX_PARSER') == 'v2' && !nextflow.version.matches('>=25.10')) {
        log.warn("NXF_SYNTAX_PARSER=v2: Nextflow before 25.10 keeps parameters of the command line from its configuration, so that --threads, " +
            "--slurm_account and others of conf/ count in part or not at all, and pipeline_info is in results/: leave the variable out")
    }
}

// Hold every parameter to nextflow_schema.json before anything runs: one line for each mistake. A mistyped name would be
// ignored in silence, and a wrong value might end a run after hours.
def refuse_wrong_parameters(given) {
    def sites = (workflow.configFiles ?: []).findAll { path -> path != projectDir.resolve('nextflow.config') && path.exists() }.collect { path -> path.text }
    def wrong = wrong_parameters(ours(given, workflow.commandLine, sites.join('\n')))
    if (wrong) {
        error(wrong.join('\n'))
    }
}

// Without what a site's configuration says of itself (-c site.config; nf-core's set config_profile_contact and more): an
// unknown name is a mistake where a person gives it, on the command line or in a file of parameters, and no such configuration has it.
def ours(given, command, sites) {
    def defined = parameters()
    def path = command.find(/\s-params-file[ =](?:'([^']*)'|(\S+))/) { _all, quoted, plain -> quoted ?: plain } ?: System.getenv('NXF_PARAMS_FILE')
    if (path && !file(path, glob: false).exists()) {
        return given
    }
    def words = command.findAll(/\s--([^\s=.]+)/) { _all, name -> name } + (path ? file(path, glob: false).text.findAll(/[\w-]+/) : [])
    def typed = words.collect { word -> word.replace('-', '').toLowerCase() } - sites.findAll(/\w+/).collect { word -> word.toLowerCase() }
    given.findAll { name, _value -> defined.containsKey(name) || name.replace('-', '').toLowerCase() in typed }
}

// Nextflow adds the camel-case form of --max-memory, which is the one that is judged.
def wrong_parameters(given) {
    def defined = parameters()
    given.findAll { name, _value -> !name.contains('-') }
        .collectEntries { name, value -> [name, defined.containsKey(name) ? wrong_value(defined[name], value) : unknown(name, defined.keySet())] }
        .findAll { _name, why -> why }
        .collect { name, why -> "--${name}: ${why}".toString() }
}

def unknown(name, names) {
    def close = names.closest(name)
    "unknown parameter; ${close ? "did you mean --${close[0]}? " : ''}known: ${names.sort().join(', ')}"
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
    def registry = projectDir.resolve('containers/released.txt').exists() ? [] : ['registry']
    [
        awsbatch:    ['aws_queue', 'aws_region', 'aws_cli'] + registry,
        googlebatch: ['google_project', 'google_location'] + registry + (gpu ? ['gpu_type'] : []),
        azurebatch:  ['azure_account', 'azure_location', 'azure_storage'] + registry + (gpu ? ['gpu_machine'] : []),
        k8s:         ['k8s_claim'] + registry,
        slurm:       [],
    ].findAll { profile, _names -> profile in profiles }
}

// A line for each set of profiles of which a run takes one: of two, it would depend on Nextflow's version which counts.
def wrong_of_profiles(profiles) {
    [
        ['awsbatch', 'azurebatch', 'googlebatch', 'k8s', 'slurm'],
        ['apptainer', 'charliecloud', 'docker', 'podman', 'singularity'],
        ['test', 'test_full'],
    ].collect { names -> names.findAll { name -> name in profiles } }.findAll { names -> names.size() > 1 }
        .collect { names -> "-profile: ${profiles.join(',')}: ${names.join(' and ')} exclude each other: name one of them".toString() }
}

// Refuse a place that lacks a parameter, and a program or a GPU that is not there, before anything runs: one line each.
def refuse_missing_parameters(given) {
    def profiles = workflow.profile.tokenize(',')
    def about = parameters()
    def needs = needed(profiles)
    def wrong = wrong_of_profiles(profiles) + needs.collectMany { profile, names ->
        names.findAll { name -> !given[name] }.collect { name -> "--${name}: missing; profile ${profile} needs it: ${about[name].description}" }
    }
    if ('azurebatch' in profiles && !System.getenv('AZURE_CLIENT_ID')) {
        wrong += ['AZURE_BATCH_ACCOUNT_KEY', 'AZURE_STORAGE_ACCOUNT_KEY'].findAll { name -> !System.getenv(name) }
            .collect { name -> "${name}: missing; profile azurebatch reads this secret from the environment" }
    }
    // a site's own configuration may send tasks elsewhere
    def executor = nextflow.Global.session.config.process.executor ?: 'local'
    wrong += wrong_of_slurm(profiles, executor)
    if (!workflow.stubRun) {
        wrong += missing_programs(submitting(executor))
    }
    if (!workflow.stubRun && !needs && executor == 'local') {
        wrong += missing_here(profiles, given)
    }
    if (wrong) {
        error(wrong.join('\n'))
    }
}

// The program that submits jobs for an executor, where it is one of a scheduler
def submitting(executor) {
    def programs = [slurm: 'sbatch', lsf: 'bsub', pbs: 'qsub', pbspro: 'qsub', sge: 'qsub', uge: 'qsub', condor: 'condor_submit']
    [programs[executor.toString().toLowerCase()]].findAll { name -> name }
}

// Profile slurm alone asks Slurm for GPUs, whoever sends tasks there
def wrong_of_slurm(profiles, executor) {
    executor == 'slurm' && 'gpu' in profiles && !('slurm' in profiles)
        ? ["-profile: ${profiles.join(',')}; Slurm is asked for GPUs by profile slurm: name it too, as in -profile gpu,slurm"]
        : []
}

// What tasks need that run on this machine
def missing_here(profiles, given) {
    def engine = workflow.containerEngine
    def wrong = missing_programs(engine ? [engine == 'charliecloud' ? 'ch-run' : engine] : ['ps', 'python3'])
    if (engine == 'docker' && !wrong && !says_something(['docker', 'version', '--format', '{{.Server.Version}}'])) {
        wrong += ["docker: its daemon does not answer: start it (sudo systemctl start docker) and be of its group (sudo usermod -aG docker \$USER), or use -profile podman, which needs none"]
    }
    if (!wrong && has_images_here(given)) {
        wrong += missing_image(engine, given.registry, 'analysis')
    }
    if ('gpu' in profiles) {
        wrong += missing_gpus(given.gpus as Integer, System.getenv('CUDA_VISIBLE_DEVICES'), says(['nvidia-smi', '-L']))
    }
    wrong
}

// Whether tasks run in images that are built here, or released
def has_images_here(given) {
    workflow.containerEngine in ['docker', 'podman'] && (given.registry ?: 'local') == 'local' && !given.images
}

// The plan, once the images that its tasks run in are seen to be here: before anything is computed, not when a task asks for one.
def with_images_there(plan, only_estimate, given) {
    plan.map { folder ->
        def executor = nextflow.Global.session.config.process.executor ?: 'local'
        def names = !workflow.stubRun && executor == 'local' && has_images_here(given)
            ? images_of(folder, only_estimate, 'gpu' in workflow.profile.tokenize(',')) : []
        def wrong = names.collectMany { name -> missing_image(workflow.containerEngine, given.registry, name) }
        if (wrong) {
            error(wrong.join('\n'))
        }
        folder
    }
}

// Our images that a plan needs: of MACE and DFT another one for what uses a GPU (conf/containers.config)
def images_of(folder, only_estimate, gpu) {
    def tables = only_estimate ? [] : ['models', 'runs', 'explore']
    def images = tables.collectMany { name -> folder.resolve("${name}.csv".toString()).splitCsv(header: true).collect { row -> row.image } }
    def labelling = folder.resolve('label_engine.csv').splitCsv(header: true)[0]
    def ours = images + [gpu && labelling.gpu == 'true' ? "${labelling.image}-gpu".toString() : labelling.image]
    (ours + (gpu && 'mace' in ours ? ['mace-gpu'] : []))
        .findAll { name -> name && projectDir.resolve("containers/${name - '-gpu'}/requirements.txt".toString()).exists() }.unique().sort()
}

// An image that must be one of this machine: else each task would end with the engine's words
def missing_image(engine, registry, name) {
    def image = says(["${projectDir}/containers/tag".toString(), name]).trim()
    def released = projectDir.resolve('containers/released.txt')
    def elsewhere = !registry && released.exists() && released.readLines().any { line -> line.startsWith("${image} ") }
    elsewhere || says_something([engine, 'image', 'inspect', '--format', '{{.Id}}', image])
        ? [] : ["${engine}: has no image ${image}: build them: containers/build${name == 'analysis' ? '' : " ${name}"}, or say with --registry or --images where they are"]
}

// A line where fewer GPUs are here than are wanted: of those that the driver lists, or of those that CUDA_VISIBLE_DEVICES (null where it
// is not set) names, by number or as a part of one
def missing_gpus(wanted, visible, listed) {
    def there = listed.readLines().count { line -> line.startsWith('GPU ') }
    def usable = there && visible != null ? visible.tokenize(',').size() : there
    def said = there && visible != null ? "CUDA_VISIBLE_DEVICES names ${usable}" : "nvidia-smi finds ${usable} NVIDIA GPUs here"
    usable < wanted
        ? ["--gpus: ${wanted}; ${said}: leave out -profile gpu to run on the CPU, or name the place that has them too, as in -profile gpu,slurm".toString()]
        : []
}

// A line for each program that is not on PATH, with what brings it
def missing_programs(names) {
    def brought_by = [
        sbatch:      'jobs of Slurm are submitted with it: start on a login node of the cluster',
        bsub:        'jobs of LSF are submitted with it: start on a login node of the cluster',
        qsub:        'jobs of this scheduler are submitted with it: start on a login node of the cluster',
        condor_submit: 'jobs of HTCondor are submitted with it: start where the cluster takes jobs',
        ps:          'Nextflow measures tasks with it: apt install procps',
        python3:     'tasks need Python 3.11 or newer: apt install python3 python3-venv',
        docker:      'apt install docker.io, or use -profile podman (apt install podman)',
        podman:      'apt install podman',
        singularity: 'module load singularity, or see docs/places.md for other ways',
        apptainer:   'module load apptainer, or see docs/places.md for other ways',
        'ch-run':    'apt install charliecloud',
    ]
    def folders = (System.getenv('PATH') ?: '').tokenize(':')
    names.findAll { name -> !folders.any { folder -> new File(folder, name).canExecute() } }
        .collect { name -> "${name}: is not installed here: ${brought_by[name]}" }
}

def says_something(command) {
    says(command).trim() as Boolean
}

// What a program writes; nothing where it is not there or says nothing within ten seconds.
def says(command) {
    try {
        def running = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start()
        if (!running.waitFor(10, java.util.concurrent.TimeUnit.SECONDS)) {
            running.destroyForcibly()
            return ''
        }
        return running.exitValue() ? '' : running.inputStream.text
    }
    catch (IOException _none) {
        return ''
    }
}

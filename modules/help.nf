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
        |The study file says everything else; studies/demo.yaml explains it. Profiles are listed in README.md.
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

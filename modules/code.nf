// The digest of a script of bin/ and of all of the package bin/ionmelt that it imports, itself or through others. It is an input
// of each process, so that an edit repeats the tasks whose scripts import what was edited, and no others.
def code(script) {
    imported([file("${projectDir}/bin/${script}")]).collect { path -> "${path} ${path.text}".toString() - projectDir.toString() }.join().md5()
}

// These files and all that they import, in the order of their paths
def imported(paths) {
    def more = (paths + paths.collectMany { path -> imports(path) }).unique(false)
    more.size() == paths.size() ? paths.sort { path -> path.toString() } : imported(more)
}

// The files that a file names: `from ionmelt.measure import paths, stats`, `from ionmelt.task import run`, "ionmelt.labels.engines.xtb",
// and beside it "page.html"
def imports(path) {
    def lines = path.text.findAll(/(?m)^ *from ionmelt[\w.]* import (?:\([^)]*\)|.*)/).collect { line -> line.findAll(/[\w.]+/) }
    def named = lines.collectMany { words -> [words[1]] + words.drop(3).collect { word -> "${words[1]}.${word}".toString() } }
    def quoted = path.text.findAll(/"ionmelt[\w.]*"/).collect { word -> word.replace('"', '') }
    def beside = path.text.findAll(/"[\w-]+\.(?:html|css|js)"/).collect { word -> file("${path.parent}/${word.replace('"', '')}") }
    (named + quoted).collectMany { name -> files_of(name) } + beside.findAll { found -> found.exists() }
}

// The files that Python reads for a module: its own, and what its packages begin with
def files_of(name) {
    def parts = name.tokenize('.')
    def places = (1..parts.size()).collect { n -> "${projectDir}/bin/${parts.take(n).join('/')}" }
    places.collectMany { place -> [file("${place}.py"), file("${place}/__init__.py")] }.findAll { found -> found.exists() }
}

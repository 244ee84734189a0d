// The digest of a script of bin/ and of all of the package bin/ionmelt that it imports, itself or through others. It is an input
// of each process, so that an edit repeats the tasks whose scripts import what was edited, and no others.
def code(script) {
    imported([projectDir.resolve("bin/${script}".toString())], []).collect { path -> "${path} ${path.text}".toString() - projectDir.toString() }.join().md5()
}

// What computes the labels: its name, what it runs in (an image with containers, else a name or a folder), whether a GPU is of use, and the
// digest of its file, which no script names: an edit of one engine repeats the labels of that engine alone.
def label_engine(plan) {
    plan.map { folder ->
        def row = folder.resolve('label_engine.csv').splitCsv(header: true)[0]
        row + [environment: workflow.containerEngine ? row.image : row.environment, code: row.engine ? code("ionmelt/labels/engines/${row.engine}.py") : '']
    }
}

// These files and all that they import, with those reached before, in the order of their paths
def imported(paths, before) {
    def reached = before + paths
    def more = paths.collectMany { path -> imports(path) }.unique(false).findAll { path -> !(path in reached) }
    more ? imported(more, reached) : reached.sort(false) { path -> path.toString() }
}

// The files that a file names: `from ionmelt.measure import paths, stats`, `from ionmelt.task import run`, "ionmelt.labels.engines.xtb",
// and beside it "page.html"
def imports(path) {
    def text = path.text
    def lines = text.findAll(/(?m)^ *from ionmelt[\w.]* import (?:\([^)]*\)|.*)/).collect { line -> line.findAll(/[\w.]+/) }
    def named = lines.collectMany { words -> [words[1]] + words.drop(3).collect { word -> "${words[1]}.${word}".toString() } }
    def quoted = text.findAll(/"ionmelt[\w.]*"/).collect { word -> word.replace('"', '') }
    def beside = text.findAll(/"[\w-]+\.(?:html|css|js)"/).collect { word -> path.resolveSibling(word.replace('"', '')) }
    (named + quoted).unique(false).collectMany { name -> files_of(name) } + beside.findAll { asset -> asset.exists() }
}

// The files that Python reads for a module: its own, and what its packages begin with
def files_of(name) {
    def parts = name.tokenize('.')
    def stems = (1..parts.size()).collect { n -> parts.take(n).join('/') }
    stems.collectMany { stem -> ["${stem}.py", "${stem}/__init__.py"] }
        .collect { file_name -> projectDir.resolve("bin/${file_name}".toString()) }.findAll { path -> path.exists() }
}

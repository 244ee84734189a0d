// How tables of the plan and outputs of tasks come together. A row is a map of a line's columns; outputs come with their keys.
// Nothing is included here: 25.04's strict parser refuses that in a file that several others include.

// The rows of a table of the plan, with the file of settings of each one's task and the user's own files for it, by role:
// [key: pyr14bf4-r1, liquid: pyr14bf4, ..., settings: boxes/pyr14bf4-r1.json, files: [force_field: own.xml]]
def rows(plan, table, kind = table) {
    plan.flatMap { folder ->
        def files_by_key = lines_of(folder, 'files').groupBy { line -> line.id }
        lines_of(folder, table).collect { line ->
            def files = (files_by_key[line.key] ?: []).collectEntries { one -> [one.role, file(one.path)] }
            line + [settings: folder.resolve("${kind}/${line.key}.json".toString()), files: files]
        }
    }
}

// Rows with an output that belongs to them: joined(runs, 'state', states, 'start') adds the column `start`, which is the output
// of `states`, [key, output], whose key is in the column `state`.
def joined(rows, column, outputs, name) {
    rows.map { row -> tuple(row[column], row) }.combine(outputs, by: 0).map { _key, row, output -> row + [(name): output] }
}

// The environment of a row's task: an image with containers, else a name or a folder.
def environment(row) {
    workflow.containerEngine ? row.image : row.environment
}

// A file of the plan
def file_of(plan, name) {
    plan.map { folder -> folder.resolve(name) }
}

// The user's own files of a role as one list; nothing where there are none
def user_files(plan, role) {
    plan.map { folder -> lines_of(folder, 'files').findAll { line -> line.role == role }.collect { line -> file(line.path) } }
        .filter { paths -> paths }
}

def lines_of(folder, table) {
    folder.resolve("${table}.csv".toString()).splitCsv(header: true)
}

// The folders that files are in, each once
def folders_of(files) {
    files.flatten().map { path -> path.parent }.unique()
}

// What the plan reads of the results of the round before, as far as they are there; none where there is none
def records_of(previous) {
    def names = ['models/*/model.json', 'trajectories/*/run.json', 'tables/errors.parquet']
    previous ? names.collectMany { name -> files("${previous}/${name}").findAll { path -> path.exists() } } : []
}

// All files of a channel as one list, in the order of their names: the order of arrival would change the
// hash of the task that takes them, and a resumed run would repeat it.
def gather(files) {
    files.flatten().toSortedList { a, b -> a.name <=> b.name }
}

// What is in the folders of the user's frames: name, size and time of each file
def contents_of(frames) {
    frames.map { paths ->
        def files = []
        paths.findAll { path -> path.isDirectory() }.each { folder ->
            folder.eachFileRecurse(groovy.io.FileType.FILES) { path ->
                files << "${path} ${path.size()} ${path.lastModified()}".toString()
            }
        }
        files.sort()
    }
}

// What ends a run. A file of its own: the strict parser of 25.04 refuses a function that comes twice, as what a file includes does where
// several others include that file.

// Stop with the mistakes that a task wrote into its file of errors, which is empty where there are none.
def stop_with(errors) {
    errors.filter { lines -> lines.size() > 0 }.subscribe { lines -> error(lines.text.trim()) }
}

// Stop where a model failed that the study cannot do without (Failure of bin/ionmelt/compare/reading.py).
def stop_with_failures(failed) {
    failed.subscribe { path -> error(new groovy.json.JsonSlurper().parseText(path.text).reason.join('\n')) }
}

// Stop where no model can be used; as long as there are others, one that cannot is a row of the tables.
// failed: a file for each (Failure of bin/ionmelt/compare/reading.py); rows: the plan's rows of models.
def stop_without_models(failed, rows) {
    def keys = rows.filter { row -> row.role == 'model' }.map { row -> row.key }.toList()
    failed.toList().map { files -> [files] }.combine(keys.map { all -> [all] }).subscribe { files, all ->
        def reasons = files.collect { path -> new groovy.json.JsonSlurper().parseText(path.text) }.collectEntries { told -> [told.key, told.reason.join('\n')] }
        if (all && all.every { key -> reasons.containsKey(key) }) {
            error(all.collect { key -> "models: ${key}: ${reasons[key] - "models: ${key}: "}" }.join('\n'))
        }
    }
}

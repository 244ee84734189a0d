// The label store: a folder outside of the work folder, or an address in an object store, with one file for each label
// that was ever finished. Tasks that see the folder read and write it themselves (bin/il_label_store.py). Where they
// do not, because it or the work folder is in an object store, this copies: each chunk is given the entries that
// there are of its frames, and conf/publish.config takes back the new ones.

// The store as a task is given it: a file in it. That file's content never changes, so that new labels, or another place
// for the store, change no task's hash; and its folder is mounted into containers. None where no label is kept.
def label_store(store) {
    store == 'none' ? [] : note_in(store, '--label_store', 'Labels that were finished, one file each, for every later run of Ionmelt that needs them.')
}

// The folder that keeps checkpoints of runs, which outlive their tasks; passed in the same way.
def checkpoint_folder(folder) {
    note_in(folder, '--checkpoints', 'Checkpoints of trainings and molecular dynamics that are going on. One that was killed goes on from here.')
}

// A file that says what a folder is for, in that folder, which is made; an option is named where it cannot be.
def note_in(folder, option, text) {
    def note = file("${folder}/README.txt", glob: false)
    note.parent.mkdirs()
    if (!note.exists() && !note.parent.canWrite() && !folder.toString().contains('://')) {
        error("${option}: ${folder}: no folder can be made there: give another${option == '--label_store' ? ', or none' : ''}")
    }
    if (!note.exists()) {
        note.text = "${text}\n"
    }
    note
}

// Chunks with what is stored of their frames: [chunk, [entry, ...]]; frame_ids holds a file for each chunk.
def with_stored_labels(chunks, frame_ids, settings, store) {
    if (store == 'none' || !"${store} ${workflow.workDir.toUriString()}".contains('://')) {
        return chunks.flatten().map { chunk -> tuple(chunk, []) }
    }
    def stored = settings.map { labels -> "${store}/${new groovy.json.JsonSlurper().parseText(labels.text).theory_id}" }
        .map { folder -> tuple(folder, files("${folder}/*/*.json").collect { path -> path.baseName } as Set) }  // listed once
    chunks.flatten().map { chunk -> tuple(chunk.baseName, chunk) }
        .join(frame_ids.flatten().map { ids -> tuple(ids.baseName, ids) })
        .combine(stored)
        .map { _key, chunk, ids, folder, known -> tuple(chunk, stored_labels(ids.readLines(), folder, known)) }
}

// The entries of these frames. They are inputs of a task, and a resumed run must give it the same ones although the
// store has grown: what was found is noted in the work folder, for each session and chunk.
def stored_labels(frame_ids, folder, known) {
    def note = workflow.workDir.resolve("label_store/${workflow.sessionId}/${"${folder} ${frame_ids}".md5()}")
    if (!note.exists()) {
        note.parent.mkdirs()
        note.text = frame_ids.findAll { id -> id in known }.join('\n')
    }
    note.readLines().collect { id -> file("${folder}/${id.take(2)}/${id}.json") }
}

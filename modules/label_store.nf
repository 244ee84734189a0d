// The label store: a folder outside of the work folder, or an address in an object store, with every label that was ever
// finished, in shards: each task adds a file of its own. Tasks that see the folder read and write it themselves
// (bin/ionmelt/labels/store.py). Where they do not, because it or the work folder is in an object store, this copies: each
// chunk is given the shards that hold its frames, and new ones are taken back. A store that cannot be written stops no run:
// what it holds is used, and one line says that new labels are not kept there.

// The store of this run: the one asked for or, where that holds nothing and cannot be written, one in the work folder.
def usable_store(asked) {
    def wrong = asked == 'none' ? '' : why_no_note(store_note(asked))
    if (!wrong) {
        return asked
    }
    if (is_below_a_file(file(asked, glob: false))) {
        error("--label_store: ${asked}: no folder can be made there: give another, or none")
    }
    def instead = workflow.workDir.resolve('label_store').toUriString()
    log.warn("--label_store: ${asked}: cannot be written (${wrong}): the labels of this run are kept in ${instead}")
    why_no_note(store_note(instead))
    instead
}

// The store as a task is given it: a file in it. That file's content never changes, so that new labels, or another place
// for the store, change no task's hash; and its folder is mounted into containers. None where no label is kept.
def label_store(store) {
    store == 'none' ? [] : store_note(store).path
}

def store_note(folder) {
    [path: file("${folder}/README.txt", glob: false), text: 'Labels that were finished, for every later run of Ionmelt that needs them.']
}

// The folder that keeps checkpoints of runs, which outlive their tasks; passed in the same way.
def checkpoint_folder(folder) {
    def note = [path: file("${folder}/README.txt", glob: false), text: 'Checkpoints of trainings and molecular dynamics that are going on. One that was killed goes on from here.']
    if (why_no_note(note)) {
        error("--checkpoints: ${folder}: no folder can be made there: give another")
    }
    note.path
}

// Why a file that says what a folder is for cannot be made in it; empty where it is there, made now or before.
def why_no_note(note) {
    try {
        note.path.parent.mkdirs()
        if (!note.path.exists()) {
            note.path.text = "${note.text}\n"
        }
    }
    catch (IOException error) {
        if (note.path.exists() && note.path.size() == 0) {
            note.path.delete()      // a full disk took the name alone
        }
        return "${error.class.simpleName}: ${error.message}"
    }
    ''
}

// Whether a folder cannot be, because a file is where it, or a folder above it, would be.
def is_below_a_file(path) {
    path && (path.exists() ? !path.isDirectory() : is_below_a_file(path.parent))
}

// Copy new shards, of tasks that could not write them into the store, to where they belong. No two have the same name.
def keep_labels(shards, store) {
    def refused = []
    shards.flatten().subscribe { shard ->
        def target = file("${store}/${shard.parent.name}/${shard.name}", glob: false)
        if (!refused) {
            try {
                if (!target.exists()) {
                    target.parent.mkdirs()
                    shard.copyTo(target)
                }
            }
            catch (IOException error) {
                refused << target
                log.warn("--label_store: ${store}: cannot be written (${error.class.simpleName}: ${error.message}): not all labels of this run are kept there")
            }
        }
    }
}

// Chunks with what is stored of their frames: [chunk, [shard, ...]]; frame_ids holds a file for each chunk.
def with_stored_labels(chunks, frame_ids, settings, store) {
    if (store == 'none' || !"${store} ${workflow.workDir.toUriString()}".contains('://')) {
        return chunks.flatten().map { chunk -> tuple(chunk, []) }
    }
    def stored = settings.map { labels -> "${store}/${new groovy.json.JsonSlurper().parseText(labels.text).theory_id}" }
        .map { folder -> tuple(folder, shards_by_frame(folder)) }   // read once
    chunks.flatten().map { chunk -> tuple(chunk.baseName, chunk) }
        .join(frame_ids.flatten().map { ids -> tuple(ids.baseName, ids) })
        .combine(stored)
        .map { _key, chunk, ids, folder, shards -> tuple(chunk, stored_labels(ids.readLines(), folder, shards)) }
}

// The names of the shards that hold each frame. A task that was killed left none of their indexes.
def shards_by_frame(folder) {
    def names = [:].withDefault { _frame -> [] }
    files("${folder}/*.jsonl").each { shard ->
        def index = shard.resolveSibling("${shard.baseName}.ids")
        def frames = index.exists()
            ? index.readLines().collect { line -> line.tokenize(' ')[0] }
            : shard.readLines().collect { line -> line.find(/^\{"format": \d+, "frame_id": "(\w+)"/) { _all, frame -> frame } }
        frames.each { frame -> names[frame] << shard.baseName }
    }
    names
}

// The shards with these frames, and their indexes. They are inputs of a task, and a resumed run must give it the same ones
// although the store has grown: what was found is noted in the work folder, for each session and chunk.
def stored_labels(frame_ids, folder, shards) {
    def note = workflow.workDir.resolve("label_store/${workflow.sessionId}/${"${folder} ${frame_ids}".md5()}")
    if (!note.exists()) {
        note.parent.mkdirs()
        note.text = frame_ids.findAll { id -> shards.containsKey(id) }.collectMany { id -> shards[id] }.unique().join('\n')
    }
    note.readLines().collectMany { name -> [file("${folder}/${name}.jsonl"), file("${folder}/${name}.ids")] }
        .findAll { path -> path.exists() }
}

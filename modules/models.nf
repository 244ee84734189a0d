// The models of a study: those that it trains, those that the user brings, and those that need neither, which are a card alone; and
// the one that labels its frames, where one does.
include { code } from './code.nf'
include { environment; folders_of; joined; rows } from './channels.nf'
include { stop_with_failures; stop_without_models } from './stops.nf'
include { TRAIN_MODEL  } from './train_model.nf'
include { IMPORT_MODEL; IMPORT_MODEL as IMPORT_TEACHER } from './import_model.nf'
include { EXPORT_MODEL } from './export_model.nf'

workflow TEACHER {
    take:
    plan            // folder of the plan

    main:
    IMPORT_TEACHER(imports(plan) { row -> row.role == 'labels' }, code('import_model.py'))
    stop_with_failures(IMPORT_TEACHER.out.failed)   // nothing can be labelled
    // 25.04's strict parser takes names alone under `emit:`
    model = IMPORT_TEACHER.out.model

    emit:
    model           // [key, folder]
}

workflow MODELS {
    take:
    plan            // folder of the plan
    datasets        // [dataset, folder]
    teacher         // [key, folder]
    checkpoints     // a file of the folder that keeps them
    states          // folders of states, one of each liquid

    main:
    planned = rows(plan, 'models')
    trained = planned.filter { row -> row.trained == 'true' }
    framed = joined(trained, 'dataset', datasets, 'frames')
    trainings = joined(framed, 'framework', codes(trained, 'training'), 'code').map { row ->
        tuple(row.key, environment(row), row.code, row.settings, row.frames, row.files.weights ?: [], row.files.replay ?: [])
    }
    TRAIN_MODEL(trainings, checkpoints, code('train_model.py'))
    IMPORT_MODEL(imports(plan) { row -> row.role != 'labels' }, code('import_model.py'))

    made = TRAIN_MODEL.out.model.mix(IMPORT_MODEL.out.model)
    failed = TRAIN_MODEL.out.failed.mix(IMPORT_MODEL.out.failed)
    stop_without_models(failed, planned)
    given = joined(planned.filter { row -> row.role == 'model' }, 'key', made, 'folder')
    EXPORT_MODEL(given.map { row -> tuple(row.key, environment(row), row.folder) }, states, code('export_model.py'))

    cards = rows(plan, 'models', 'cards').filter { row -> row.trained == 'false' && row.imported == 'false' }
    // 25.04's strict parser takes names alone under `emit:`
    models = made.mix(teacher, of_cards(cards))
    folders = folders_of(EXPORT_MODEL.out.files)    // as the user is given them

    emit:
    models          // [model key, folder]
    failed
    folders
}

// What IMPORT_MODEL takes of those rows that it is asked for: weights, or a calculator class in an environment of its own
def imports(plan, asked) {
    def imported = rows(plan, 'models', 'imports').filter { row -> row.imported == 'true' }.filter(asked)
    joined(imported, 'framework', codes(imported, 'opening'), 'code')
        .map { row -> tuple(row.key, environment(row), row.code, row.settings, row.files.own_model ?: []) }
}

// The digest of the file of each framework that trains its models, or opens them: an edit of one repeats no task of another.
def codes(lines, what) {
    lines.map { row -> row.framework }.unique()
        .map { name -> tuple(name, code("ionmelt/models/frameworks/${name}_${what}.py")) }
}

// Models that are a card alone: each in a folder for its content, since a folder counts by its path in the hash of a task. A
// new plan would otherwise repeat their dynamics.
def of_cards(lines) {
    lines.map { row ->
        def text = row.settings.resolveSibling("${row.key}/model.json".toString()).text
        def card = workflow.workDir.resolve("cards/${text.md5()}/${row.key}/model.json".toString())
        card.parent.mkdirs()
        if (!card.exists() || card.text != text) { card.text = text }
        tuple(row.key, card.parent)
    }
}

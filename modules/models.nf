// The models of a study: those that it trains, those that the user brings, and those that need neither, which are a card alone.
include { code } from './code.nf'
include { environment; folders_of; joined; rows } from './channels.nf'
include { stop_without_models } from './ended.nf'
include { TRAIN_MODEL  } from './train_model.nf'
include { IMPORT_MODEL } from './import_model.nf'
include { EXPORT_MODEL } from './export_model.nf'

workflow MODELS {
    take:
    plan            // folder of the plan
    datasets        // [dataset, folder]
    checkpoints     // a file of the folder that keeps them

    main:
    planned = rows(plan, 'models')
    trained = planned.filter { row -> row.trained == 'true' }
    framed = joined(trained, 'dataset', datasets, 'frames')
    trainings = joined(framed, 'framework', codes(trained, 'training'), 'code').map { row ->
        tuple(row.key, environment(row), row.code, row.settings, row.frames, row.own.weights ?: [], row.own.replay ?: [])
    }
    TRAIN_MODEL(trainings, checkpoints, code('train_model.py'))
    // weights, or a calculator class in an environment of its own
    imported = rows(plan, 'models', 'imports').filter { row -> row.imported == 'true' }
    imports = joined(imported, 'framework', codes(imported, 'opening'), 'code')
        .map { row -> tuple(row.key, environment(row), row.code, row.settings, row.own.own_model ?: []) }
    IMPORT_MODEL(imports, code('import_model.py'))

    made = TRAIN_MODEL.out.model.mix(IMPORT_MODEL.out.model)
    failed = TRAIN_MODEL.out.failed.mix(IMPORT_MODEL.out.failed)
    stop_without_models(failed, planned)
    given = joined(planned.filter { row -> row.role != 'start' }, 'key', made, 'folder')
    EXPORT_MODEL(given.map { row -> tuple(row.key, environment(row), row.folder) }, code('export_model.py'))

    cards = rows(plan, 'models', 'cards').filter { row -> row.trained == 'false' && row.imported == 'false' }
    // 25.04's strict parser takes names alone under `emit:`
    models = made.mix(of_cards(cards))
    folders = folders_of(EXPORT_MODEL.out.files)    // as the user is given them

    emit:
    models          // [model key, folder]
    failed
    folders
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

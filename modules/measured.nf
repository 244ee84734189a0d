// What the models are worth: their errors on labelled frames, their molecular dynamics, and what is measured on it.
include { code } from './code.nf'
include { contents_of; environment; file_of; folders_of; gather; joined; user_files; rows } from './channels.nf'
include { stop_with } from './stops.nf'
include { IMPORT_LABELS as IMPORT_HELDOUT } from './import_labels.nf'
include { EVALUATE_MODEL } from './evaluate_model.nf'
include { RUN_MD         } from './run_md.nf'
include { MEASURE_LIQUID } from './measure_liquid.nf'

workflow MEASURED {
    take:
    plan            // folder of the plan
    assets
    models          // [model key, folder]
    datasets        // [dataset, folder]
    test            // labelled frames that no model was trained on
    states          // [state key, folder]
    liquids         // [liquid, folders of its states]
    checkpoints     // a file of the folder that keeps them

    main:
    frames = user_files(plan, 'heldout')
    IMPORT_HELDOUT(frames, contents_of(frames), file_of(plan, 'heldout.json'), assets, code('import_labels.py'))
    stop_with(IMPORT_HELDOUT.out.errors)
    heldout = IMPORT_HELDOUT.out.frames.ifEmpty([])
    judged = joined(rows(plan, 'models'), 'key', models, 'folder')
    tested = joined(judged.filter { row -> row.trained == 'true' }, 'dataset', datasets, 'frames')
        .mix(judged.filter { row -> row.trained != 'true' })
        .map { row -> tuple(row.key, environment(row), row.folder, row.frames ?: []) }
    one_state_each = gather(liquids.map { _liquid, folders -> folders[0] })
    EVALUATE_MODEL(tested, test.ifEmpty([]), heldout, one_state_each, code('evaluate_model.py'))

    // Runs come one by one, or as many replicas at once as the study's md.batch says.
    planned = joined(joined(rows(plan, 'runs'), 'model_key', models, 'model'), 'state', states, 'start')
    batches = planned.map { run -> tuple(groupKey(run.batch, run.batch_size as Integer), run) }.groupTuple()
        .map { _batch, some -> together(some.sort { run -> run.key }) }
    RUN_MD(batches, checkpoints, code('run_md.py'))
    runs = folders_of(RUN_MD.out.files)
    ended = joined(planned, 'key', runs.map { folder -> tuple(folder.name, folder) }, 'folder')
    references = file_of(plan, 'references.csv')
    MEASURE_LIQUID(ended.map { run -> tuple(run.key, run.folder, run.model) }, references, code('measure_liquid.py'))

    // 25.04's strict parser takes names alone under `emit:`
    errors = gather(EVALUATE_MODEL.out.errors)
    measures = gather(MEASURE_LIQUID.out.measures)
    failed = EVALUATE_MODEL.out.failed.mix(RUN_MD.out.failed)

    emit:
    errors
    measures
    failed
    runs            // folders
}

// What RUN_MD takes of the runs of a batch: keys, environment, settings, states, model
def together(batch) {
    tuple(batch*.key, environment(batch[0]), batch*.settings, batch*.start, batch[0].model)
}

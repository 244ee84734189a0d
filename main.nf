#!/usr/bin/env nextflow
// Ionmelt: which machine-learned force field may I trust for my ionic liquid, at what cost, with what data?

include { code } from './modules/code.nf'
include { help; refuse_wrong_parameters; refuse_missing_parameters; there } from './modules/help.nf'
include { say_what_failed; say_what_is_missing; stop_with; stop_without_models } from './modules/ended.nf'
include { laid_in; set_aside } from './modules/earlier_results.nf'
include { checkpoint_folder; keep_labels; label_store; usable_store; with_stored_labels } from './modules/label_store.nf'
include { PLAN_STUDY     } from './modules/plan_study.nf'
include { BUILD_LIQUID   } from './modules/build_liquid.nf'
include { ESTIMATE_LABELS } from './modules/estimate_labels.nf'
include { EQUILIBRATE    } from './modules/equilibrate.nf'
include { SAMPLE_FRAMES  } from './modules/sample_frames.nf'
include { ACTIVE_ROUND   } from './modules/active_round.nf'
include { LABEL_FRAMES   } from './modules/label_frames.nf'
include { IMPORT_LABELS; IMPORT_LABELS as IMPORT_HELDOUT } from './modules/import_labels.nf'
include { SPLIT_DATASET  } from './modules/split_dataset.nf'
include { TRAIN_MACE     } from './modules/train_mace.nf'
include { TRAIN_DEEPMD   } from './modules/train_deepmd.nf'
include { IMPORT_MODEL   } from './modules/import_model.nf'
include { EXPORT_MODEL   } from './modules/export_model.nf'
include { EVALUATE_MODEL } from './modules/evaluate_model.nf'
include { RUN_MD         } from './modules/run_md.nf'
include { MEASURE_LIQUID } from './modules/measure_liquid.nf'
include { COMPARE_MODELS } from './modules/compare_models.nf'

workflow {
    main:
    help(params)
    refuse_wrong_parameters(params)
    refuse_missing_parameters(params)
    only_estimate = params.estimate.toString().toBoolean()
    workflow.onComplete = {
        say_what_failed("${params.outdir}/pipeline_info/trace.tsv")
        // tables of an earlier run may lie there where this one made none
        if (workflow.success && !workflow.stubRun && !only_estimate) { say_what_is_missing("${params.outdir}/tables") }
    }
    assets = file("${projectDir}/assets")

    // The plan: one file of settings a task. Below, a key is the base name of such a file.
    study = file(params.study, glob: false)
    previous = params.previous ? file(params.previous, glob: false).toUriString() : ''
    cards = previous ? files("${previous}/models/*/model.json") : []
    PLAN_STUDY(study, assets, study.parent.toUriString(), file(params.outdir, glob: false).toUriString(), previous, cards, code('plan_study.py'))
    stop_with(PLAN_STUDY.out.errors)
    files = PLAN_STUDY.out.files.splitCsv(header: true).map { row -> there(row) }

    // The liquids: [box key, folder] and, melted, [state key, folder], such as [pyr14bf4-430K-r1, ...]
    force_fields = files.filter { row -> row.role == 'force_field' }.map { row -> tuple(row.id, file(row.path)) }
    boxes = keyed(PLAN_STUDY.out.boxes).join(force_fields, remainder: true).map { key, settings, xml -> tuple(key, settings, xml ?: []) }
    BUILD_LIQUID(boxes, assets, code('build_liquid.py'))
    state_rows = PLAN_STUDY.out.state_rows.splitCsv(header: true)
    states = state_rows.map { row -> tuple(row.box, row.key) }.combine(BUILD_LIQUID.out.box, by: 0)
        .map { _box, key, folder -> tuple(key, folder) }

    // The bill beforehand: with --estimate this is the end, since nothing is melted and nothing imported.
    ESTIMATE_LABELS(PLAN_STUDY.out.plan, PLAN_STUDY.out.labels, gather(BUILD_LIQUID.out.box.map { _key, folder -> folder }).filter { only_estimate }, code('estimate_labels.py'))
    stop_with(ESTIMATE_LABELS.out.errors)
    ESTIMATE_LABELS.out.words.view { words -> words.text.trim() }
    EQUILIBRATE(keyed(PLAN_STUDY.out.states).join(states).filter { !only_estimate }, code('equilibrate.py'))

    // The labelled dataset: a folder for each named mixture, and the test frames that all share
    // More replicas of the dynamics must not change what is labelled: frames come from the first boxes.
    liquids = state_rows.filter { row -> row.replica == '1' }.map { row -> tuple(row.key, row.liquid) }.join(EQUILIBRATE.out.state)
        .map { _key, liquid, folder -> tuple(liquid, folder) }.groupTuple(sort: { folder -> folder.name })
    SAMPLE_FRAMES(keyed(PLAN_STUDY.out.samples).join(liquids), code('sample_frames.py'))
    ACTIVE_ROUND(PLAN_STUDY.out.explore_rows, keyed(PLAN_STUDY.out.explorations), keyed(PLAN_STUDY.out.choices), EQUILIBRATE.out.state, liquids, previous)
    store = usable_store(params.label_store?.toString() ?: 'none')
    to_label = with_stored_labels(SAMPLE_FRAMES.out.chunks.mix(ACTIVE_ROUND.out.chunks), SAMPLE_FRAMES.out.frame_ids.mix(ACTIVE_ROUND.out.frame_ids), PLAN_STUDY.out.labels, store)
    level = PLAN_STUDY.out.labels.map { settings -> tuple(new groovy.json.JsonSlurper().parseText(settings.text).engine, settings) }
    LABEL_FRAMES(to_label, level, label_store(store), code('label_frames.py'))
    keep_labels(LABEL_FRAMES.out.entries, store)
    // ... or the user's own labels: then nothing is sampled, and these files are all there is
    own_labels = files.filter { row -> row.role == 'labels' }.map { row -> file(row.path) }.toList().filter { paths -> paths && !only_estimate }
    IMPORT_LABELS(own_labels, contents_of(own_labels), PLAN_STUDY.out.labels, assets, code('import_labels.py'))
    stop_with(IMPORT_LABELS.out.errors)
    IMPORT_LABELS.out.words.view { words -> words.text.trim() }
    label_rows = gather(LABEL_FRAMES.out.labels.mix(IMPORT_LABELS.out.labels))
    labelled = gather(LABEL_FRAMES.out.frames.mix(IMPORT_LABELS.out.frames)).filter { chunks -> chunks } // none where no model is trained
    SPLIT_DATASET(labelled, label_rows, PLAN_STUDY.out.dataset, IMPORT_LABELS.out.e0s.ifEmpty([]), code('split_dataset.py'))
    SPLIT_DATASET.out.words.map { words -> words.text.trim() }.filter { text -> text }.view()

    // Checkpoints of trainings and of dynamics outlive their tasks.
    checkpoints = checkpoint_folder(params.checkpoints ?: "${workflow.workDir}/checkpoints")

    // The models: [model key, folder], such as [mace-eq-s1, ...], and those that need no training
    model_rows = PLAN_STUDY.out.model_rows.splitCsv(header: true)
    // Those that are tuned start from weights; replay takes frames of the foundation model's own data too.
    training = model_rows.filter { row -> row.trained == 'true' }.map { row -> tuple(row.dataset, row.key, row.framework) }
        .combine(keyed(SPLIT_DATASET.out.datasets), by: 0)
        .map { _dataset, key, framework, folder -> tuple(key, folder, framework) }
        .join(keyed(PLAN_STUDY.out.training))
        .join(own_files(files, 'weights'), remainder: true).join(own_files(files, 'replay'), remainder: true)
        .filter { row -> row[1] } // weights alone, where the run ends with the bill
        .map { key, folder, framework, settings, weights, replay -> tuple(framework, key, settings, folder, weights ?: [], replay ?: []) }
        .branch { row ->
            mace: row[0] == 'mace'
                return row.tail()
            deepmd: row[0] == 'deepmd'
                return row.tail()
        }
    TRAIN_MACE(training.mace, checkpoints, code('train_mace.py'))
    TRAIN_DEEPMD(training.deepmd.map { row -> row.take(4) }, checkpoints, code('train_deepmd.py'))
    // ... or the user's own: weights, or a calculator class in an environment of its own
    engines = model_rows.map { row -> tuple(row.key, workflow.containerEngine ? row.image : row.environment) }
    own_models = engines.join(keyed(PLAN_STUDY.out.imports)).join(own_files(files, 'own_model'), remainder: true)
        .filter { !only_estimate }.map { key, engine, settings, path -> tuple(key, engine, settings, path ?: []) }
    IMPORT_MODEL(own_models, code('import_model.py'))
    failed = IMPORT_MODEL.out.failed.mix(TRAIN_MACE.out.failed, TRAIN_DEEPMD.out.failed)
    stop_without_models(failed, model_rows)
    made = TRAIN_MACE.out.model.mix(TRAIN_DEEPMD.out.model, IMPORT_MODEL.out.model)
    EXPORT_MODEL(engines.join(made.filter { key, _folder -> !key.endsWith('-start') }), code('export_model.py'))
    models = made.mix(settled(PLAN_STUDY.out.cards)).filter { !only_estimate }

    // What they are worth: errors on the test frames, molecular dynamics, and what is measured on it
    loaded = engines.join(models)
    one_state_a_liquid = liquids.map { _liquid, folders -> folders[0] }
    heldout = files.filter { row -> row.role == 'heldout' }.map { row -> file(row.path) }.toList().filter { paths -> paths && !only_estimate }
    IMPORT_HELDOUT(heldout, contents_of(heldout), PLAN_STUDY.out.heldout, assets, code('import_labels.py'))
    stop_with(IMPORT_HELDOUT.out.errors)
    EVALUATE_MODEL(loaded, SPLIT_DATASET.out.test.ifEmpty([]), IMPORT_HELDOUT.out.frames.ifEmpty([]), gather(one_state_a_liquid), code('evaluate_model.py'))
    // Runs come one by one, or as many replicas at once as the study's md.batch says.
    runs = PLAN_STUDY.out.run_rows.splitCsv(header: true).map { row -> tuple(row.model_key, row.state, row.key, groupKey(row.batch, row.batch_size as Integer)) }
        .combine(loaded, by: 0).map { _model_key, state, key, batch, engine, model -> tuple(state, key, batch, engine, model) }
        .combine(EQUILIBRATE.out.state, by: 0).map { _state, key, batch, engine, model, state -> tuple(key, batch, engine, state, model) }
        .join(keyed(PLAN_STUDY.out.runs)).map { key, batch, engine, state, model, settings -> tuple(batch, engine, model, [key: key, settings: settings, state: state]) }
        .groupTuple().map { _batch, engine, model, members -> together(engine[0], model[0], members.sort { run -> run.key }) }
    RUN_MD(runs, checkpoints, code('run_md.py'))
    ran = folders_of(RUN_MD.out.files).map { folder -> tuple(folder.name, folder) }
    model_of_run = PLAN_STUDY.out.run_rows.splitCsv(header: true).map { row -> tuple(row.model_key, row.key) }
        .combine(models, by: 0).map { _model_key, key, model -> tuple(key, model) }
    MEASURE_LIQUID(ran.join(model_of_run), PLAN_STUDY.out.references, code('measure_liquid.py'))

    COMPARE_MODELS(
        PLAN_STUDY.out.plan.filter { !only_estimate },
        gather(EQUILIBRATE.out.table), label_rows, gather(SAMPLE_FRAMES.out.counts.mix(ACTIVE_ROUND.out.counts)), gather(ACTIVE_ROUND.out.explored),
        previous && file("${previous}/tables/rounds.parquet").exists() ? file("${previous}/tables/rounds.parquet") : [],
        SPLIT_DATASET.out.table.ifEmpty([]),
        gather(models.map { _key, folder -> folder }), gather(EVALUATE_MODEL.out.errors),
        gather(MEASURE_LIQUID.out.measures), gather(failed.mix(EVALUATE_MODEL.out.failed, RUN_MD.out.failed)),
        channel.topic('tasks').collectFile(name: 'tasks.jsonl', sort: { task -> task.name }).ifEmpty([]).first(),
        code('compare_models.py'),
    )

    // What an earlier study left in the folder of results is set aside, once this one has ended well.
    here = laid_in('models', folders_of(EXPORT_MODEL.out.files)).mix(
        laid_in('trajectories', ran.map { _key, folder -> folder }.mix(COMPARE_MODELS.out.picture)),
        laid_in('dataset', SPLIT_DATASET.out.datasets.mix(SPLIT_DATASET.out.test, SPLIT_DATASET.out.table, SPLIT_DATASET.out.summary)),
    )
    here.toList().map { all -> [all] }.combine(COMPARE_MODELS.out.report).subscribe { all, _report ->
        if (!workflow.stubRun) { set_aside(params.outdir, all) }
    }
}

// What RUN_MD takes of some replicas: keys, engine, settings, states, model
def together(engine, model, members) {
    tuple(members*.key, engine, members*.settings, members*.state, model)
}

// The user's own files of a role with the keys of the models that they are for
def own_files(files, role) {
    files.filter { row -> row.role == role }.map { row -> tuple(row.id, file(row.path)) }
}

// What is in the folders of the user's frames: name, size and time of each file
def contents_of(frames) {
    frames.map { paths ->
        def found = []
        paths.findAll { path -> path.isDirectory() }.each { folder -> folder.eachFileRecurse(groovy.io.FileType.FILES) { path -> found << "${path} ${path.size()} ${path.lastModified()}".toString() } }
        found.sort()
    }
}

// Files or folders with their keys: [pyr14bf4-r1, pyr14bf4-r1.json]; a folder's point, as in both.16, begins no extension
def keyed(files) {
    files.flatten().map { path -> tuple(path.name - ~/\.json$/, path) }
}

// Models that are a card alone, with their keys: each in a folder for its content, since a folder counts by its path in the hash
// of a task. A new plan would otherwise repeat their dynamics.
def settled(cards) {
    keyed(cards).map { key, folder ->
        def text = folder.resolve('model.json').text
        def card = workflow.workDir.resolve("cards/${text.md5()}/${key}/model.json")
        card.parent.mkdirs()
        if (!card.exists() || card.text != text) { card.text = text }
        tuple(key, card.parent)
    }
}

// The folders that files are in, each once
def folders_of(files) {
    files.flatten().map { path -> path.parent }.unique()
}

// All files of a channel as one list, in the order of their names: the order of arrival would change the
// hash of the task that takes them, and a resumed run would repeat it.
def gather(files) {
    files.flatten().toSortedList { a, b -> a.name <=> b.name }
}

#!/usr/bin/env nextflow
// Ionmelt: which machine-learned force field may I trust for my ionic liquid, at what cost, with what data?

include { code; label_engine } from './modules/code.nf'
include { file_of; gather; joined; records_of; rows } from './modules/channels.nf'
include { hear_sites; help; refuse_parameters; with_files_there; with_images_there } from './modules/help.nf'
include { say_the_end; say_the_plan } from './modules/ended.nf'
include { stop_with } from './modules/stops.nf'
include { new_study } from './modules/new_study.nf'
include { alone_in; laid_in; set_aside } from './modules/earlier_results.nf'
include { checkpoint_folder } from './modules/label_store.nf'
include { PLAN_STUDY      } from './modules/plan_study.nf'
include { BUILD_LIQUID    } from './modules/build_liquid.nf'
include { ESTIMATE_LABELS } from './modules/estimate_labels.nf'
include { EQUILIBRATE     } from './modules/equilibrate.nf'
include { ESTIMATE_POWER  } from './modules/estimate_power.nf'
include { LABELLED        } from './modules/labelled.nf'
include { SPLIT_DATASET   } from './modules/split_dataset.nf'
include { MODELS; TEACHER } from './modules/models.nf'
include { MEASURED        } from './modules/measured.nf'
include { COMPARE_MODELS  } from './modules/compare_models.nf'

workflow {
    main:
    help(params)
    refuse_parameters(params)
    new_study(params)
    hear_sites()
    only_estimate = params.estimate.toString().toBoolean()
    running = alone_in(params.outdir)
    workflow.onComplete = {
        running?.close()
        say_the_end(params.outdir, only_estimate)
    }
    assets = projectDir.resolve('assets')

    // The plan: tables of keys, and one file of settings a task. A key is the base name of such a file.
    study = file(params.study, glob: false)
    base = study.parent.toUriString()
    outdir = file(params.outdir, glob: false).toUriString()
    previous = params.previous ? file(params.previous, glob: false).toUriString() : ''
    PLAN_STUDY(study, assets, base, outdir, previous, records_of(previous), code('plan_study.py'))
    stop_with(PLAN_STUDY.out.errors)
    planned = with_images_there(with_files_there(PLAN_STUDY.out.plan), only_estimate, params)

    // With --estimate the bill is all, else it is left out.
    boxes = rows(planned, 'boxes').map { row -> tuple(row.key, row.settings, row.files.force_field ?: []) }
    BUILD_LIQUID(boxes, assets, code('build_liquid.py'))
    bill = planned.filter { only_estimate }
    plan = planned.filter { !only_estimate }
    say_the_plan(planned, only_estimate)
    built = gather(BUILD_LIQUID.out.box.map { _key, folder -> folder })
    TEACHER(planned)    // the model that labels, where one does: [key, folder]
    teacher = gather(TEACHER.out.model.map { _key, folder -> folder })
    settings = file_of(bill, 'labels.json')
    ESTIMATE_LABELS(bill, label_engine(bill), settings, built, teacher, code('estimate_labels.py'))
    stop_with(ESTIMATE_LABELS.out.errors)
    ESTIMATE_LABELS.out.words.view { words -> words.text.trim() }

    // The liquids, melted: [state key, folder], such as [pyr14bf4-430K-r1, ...], and [liquid, folders]. Those
    // are of the first boxes: more replicas of the dynamics must not change what is labelled.
    states = joined(rows(plan, 'states'), 'box', BUILD_LIQUID.out.box, 'folder')
    EQUILIBRATE(states.map { row -> tuple(row.key, row.settings, row.folder) }, code('equilibrate.py'))
    melts = EQUILIBRATE.out.state
    ESTIMATE_POWER(plan, gather(melts.map { _key, folder -> folder }), code('estimate_power.py'))
    ESTIMATE_POWER.out.words.map { words -> words.text.trim() }.filter { text -> text }.view()
    first_states = rows(plan, 'states').filter { row -> row.replica == '1' }
    liquids = joined(first_states, 'key', melts, 'folder').map { row -> tuple(row.liquid, row.folder) }
        .groupTuple(sort: { folder -> folder.name })

    // The labelled dataset: a folder for each named mixture, and the test frames that all share
    label_store = params.label_store?.toString() ?: 'none'
    LABELLED(plan, assets, BUILD_LIQUID.out.box, teacher, melts, liquids, label_store, previous)
    SPLIT_DATASET(
        LABELLED.out.frames, LABELLED.out.labels, file_of(plan, 'dataset.json'), LABELLED.out.e0s.ifEmpty([]),
        code('split_dataset.py'),
    )
    SPLIT_DATASET.out.words.map { words -> words.text.trim() }.filter { text -> text }.view()

    // The models: [model key, folder], such as [mace-eq-s1, ...]. Checkpoints outlive their tasks.
    checkpoints = checkpoint_folder(params.checkpoints ?: "${workflow.workDir}/checkpoints")
    datasets = SPLIT_DATASET.out.datasets.flatten().map { folder -> tuple(folder.name, folder) }
    of_each_liquid = gather(liquids.map { _liquid, folders -> folders[0] })
    MODELS(plan, datasets, TEACHER.out.model, checkpoints, of_each_liquid)

    // What they are worth: errors on labelled frames, molecular dynamics, and what is measured on it
    MEASURED(plan, assets, MODELS.out.models, datasets, SPLIT_DATASET.out.test, melts, liquids, checkpoints)

    rounds = previous ? [file("${previous}/tables/rounds.parquet")].findAll { path -> path.exists() } : []
    tasks = channel.topic('tasks').collectFile(name: 'tasks.jsonl', sort: { task -> task.name })
    COMPARE_MODELS(
        plan, gather(EQUILIBRATE.out.table), ESTIMATE_POWER.out.table,
        LABELLED.out.labels, LABELLED.out.counts, LABELLED.out.explored, rounds,
        SPLIT_DATASET.out.table.ifEmpty([]), SPLIT_DATASET.out.test.ifEmpty([]),
        gather(MODELS.out.models.map { _key, folder -> folder }),
        MEASURED.out.errors, MEASURED.out.measures, gather(MODELS.out.failed.mix(MEASURED.out.failed)),
        tasks.ifEmpty([]).first(), code('compare_models.py'),
    )

    // What an earlier study left in the folder of results is set aside, once this one has ended well.
    split = SPLIT_DATASET.out
    here = laid_in('models', MODELS.out.folders).mix(
        laid_in('trajectories', MEASURED.out.runs.mix(COMPARE_MODELS.out.picture)),
        laid_in('dataset', split.datasets.mix(split.test, split.table, split.summary)),
        laid_in('liquids', BUILD_LIQUID.out.box.map { _key, folder -> folder }),
    )
    here.toList().map { all -> [all] }.combine(COMPARE_MODELS.out.report).subscribe { all, _report ->
        if (!workflow.stubRun) { set_aside(params.outdir, all) }
    }
}

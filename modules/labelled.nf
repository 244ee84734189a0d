// The labelled frames of a study: sampled from its liquids, and in active learning chosen by models of the round before, then
// labelled; or frames with labels that the user has already.
include { code; label_engine } from './code.nf'
include { contents_of; file_of; gather; joined; user_files; rows } from './channels.nf'
include { stop_with } from './stops.nf'
include { keep_labels; label_store; usable_store; with_stored_labels } from './label_store.nf'
include { SAMPLE_FRAMES } from './sample_frames.nf'
include { ACTIVE_ROUND  } from './active_round.nf'
include { LABEL_FRAMES  } from './label_frames.nf'
include { IMPORT_LABELS } from './import_labels.nf'

workflow LABELLED {
    take:
    plan            // folder of the plan
    assets
    boxes           // [box key, folder]
    teacher         // folder of the model that labels; none where none does
    states          // [state key, folder]
    liquids         // [liquid, folders of its states]
    asked           // the label store that the user asks for
    previous        // address of the results of the round before; empty: none

    main:
    samples = joined(rows(plan, 'samples'), 'key', liquids, 'states')
    melts = samples.map { row ->     // where the equilibrium is refined, with the runs of the round before that its frames are from
        def runs = row.files.findAll { role, _path -> role.startsWith('sampling.eq.refine') }.collect { _role, path -> path }
        tuple(row.key, row.settings, row.states, runs)
    }
    SAMPLE_FRAMES(melts, code('sample_frames.py'))
    ACTIVE_ROUND(plan, states, liquids, previous)
    settings = file_of(plan, 'labels.json')
    store = usable_store(asked)
    chunks = SAMPLE_FRAMES.out.chunks.mix(ACTIVE_ROUND.out.chunks)
    frame_ids = SAMPLE_FRAMES.out.frame_ids.mix(ACTIVE_ROUND.out.frame_ids)
    to_label = with_stored_labels(chunks, frame_ids, settings, store)
    by_force_field = rows(plan, 'boxes').filter { row -> row.for_labels == 'true' }
    force_fields = gather(joined(by_force_field, 'key', boxes, 'box').map { row -> row.box })
    LABEL_FRAMES(to_label, label_engine(plan), settings, force_fields, teacher, label_store(store), code('label_frames.py'))
    keep_labels(LABEL_FRAMES.out.shards, store)

    frames = user_files(plan, 'labels')
    IMPORT_LABELS(frames, contents_of(frames), settings, assets, code('import_labels.py'))
    stop_with(IMPORT_LABELS.out.errors)
    IMPORT_LABELS.out.words.view { words -> words.text.trim() }

    // 25.04's strict parser takes names alone under `emit:`
    frames = gather(LABEL_FRAMES.out.frames.mix(IMPORT_LABELS.out.frames)).filter { paths -> paths } // none where nothing is labelled
    labels = gather(LABEL_FRAMES.out.labels.mix(IMPORT_LABELS.out.labels))      // a row a frame, those without a label too
    e0s = IMPORT_LABELS.out.e0s
    counts = gather(SAMPLE_FRAMES.out.counts.mix(ACTIVE_ROUND.out.counts))
    explored = gather(ACTIVE_ROUND.out.explored)

    emit:
    frames
    labels
    e0s
    counts
    explored
}

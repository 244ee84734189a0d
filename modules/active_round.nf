// A round of active learning: committees of the round before explore each liquid, and the frames that add most are chosen.
// Without a round before, and for a study without active learning, nothing runs and nothing comes out.
include { code } from './code.nf'
include { environment; joined; rows } from './channels.nf'
include { EXPLORE_LIQUID } from './explore_liquid.nf'
include { CHOOSE_FRAMES  } from './choose_frames.nf'

workflow ACTIVE_ROUND {
    take:
    plan            // folder of the plan
    states          // [state key, folder]
    liquids         // [liquid, folders of its states]
    previous        // address of the results of the round before; empty: none

    main:
    explorations = rows(plan, 'explore')
    committees = joined(explorations, 'state', states, 'start').map { row ->
        def members = row.members.tokenize(' ').collect { member -> file("${previous}/models/${member}") }
        tuple(row.key, environment(row), row.settings, row.start, members, file("${previous}/dataset/${row.dataset}/valid.extxyz"))
    }
    EXPLORE_LIQUID(committees, code('explore_liquid.py'))
    worth_a_label = joined(explorations, 'key', EXPLORE_LIQUID.out.frames, 'frames')
        .map { row -> tuple(row.liquid, row.frames) }.groupTuple(sort: { path -> path.name })
    choices = joined(rows(plan, 'choose'), 'liquid', liquids, 'states').map { row -> tuple(row.liquid, row) }
        .join(worth_a_label, remainder: true)
        .map { _liquid, row, frames -> tuple(row.key, row.settings, row.states[0], frames ?: []) }
    // named one by one, not by a glob: a lost file must stop the round, or what earlier rounds chose would go with it
    labelled = explorations.map { row -> row.dataset }.unique().toSortedList()
        .map { names -> names.collect { dataset -> file("${previous}/dataset/${dataset}/train.extxyz") } }
    CHOOSE_FRAMES(choices, labelled, code('choose_frames.py'))

    // 25.04's strict parser takes names alone under `emit:`
    chunks = CHOOSE_FRAMES.out.chunk        // with those that earlier rounds chose
    frame_ids = CHOOSE_FRAMES.out.frame_ids
    counts = CHOOSE_FRAMES.out.counts
    explored = EXPLORE_LIQUID.out.table

    emit:
    chunks
    frame_ids
    counts
    explored
}

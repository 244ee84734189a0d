// A round of active learning: committees of the round before explore each liquid, and the frames that add most are chosen.
// Without a round before, and for a study without active learning, nothing runs and nothing comes out.
include { code } from './code.nf'
include { EXPLORE_LIQUID } from './explore_liquid.nf'
include { CHOOSE_FRAMES  } from './choose_frames.nf'

workflow ACTIVE_ROUND {
    take:
    rows            // explore.csv of the plan: which committee explores which state
    settings        // [key, settings] of each exploration
    choices         // [name, settings] of each choice, one a liquid
    states          // [state key, folder]
    liquids         // [liquid, folders of its states]
    previous        // address of the results of the round before; empty: none

    main:
    explorations = rows.splitCsv(header: true)
    committees = explorations.map { row -> tuple(row.state, row) }.combine(states, by: 0)
        .map { _state, row, folder -> tuple(row.key, row, folder) }.join(settings)
        .map { key, row, folder, own ->
            def members = row.members.tokenize(' ').collect { member -> file("${previous}/models/${member}") }
            tuple(key, workflow.containerEngine ? row.image : row.environment, own, folder, members, file("${previous}/dataset/${row.dataset}/valid.extxyz"))
        }
    EXPLORE_LIQUID(committees, code('explore_liquid.py'))
    found = EXPLORE_LIQUID.out.frames.map { path -> tuple(liquid_of(path), path) }.groupTuple().map { liquid, paths -> tuple(liquid, paths.sort { path -> path.name }) }
    chosen = choices.map { name, own -> tuple(liquid_of(own), name, own) }.join(liquids).join(found, remainder: true)
        .map { _liquid, name, own, folders, paths -> tuple(name, own, folders[0], paths ?: []) }
    // named one by one, not by a glob: a lost file must stop the round, or what earlier rounds chose would go with it
    known = explorations.map { row -> row.dataset }.unique().toSortedList()
        .map { names -> names.collect { dataset -> file("${previous}/dataset/${dataset}/train.extxyz") } }
    CHOOSE_FRAMES(chosen, known, code('choose_frames.py'))

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

// The liquid of a file that is named after one: pyr14bf4 of pyr14bf4-430K-r1-mace-al.extxyz
def liquid_of(path) {
    path.name.tokenize('-')[0]
}

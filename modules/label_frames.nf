// Compute energy, forces and stress of a chunk of frames. A frame that fails is a row with its reason.
process LABEL_FRAMES {
    tag "${frames.baseName}"
    label 'labelling'
    label 'env_by_engine'
    ext engine: { engine.environment }, gpu: { engine.gpu == 'true' }

    input:
    tuple path(frames), path(stored, stageAs: 'stored/*')   // a chunk of unlabelled frames, extxyz; copied shards of the store
    val engine                                              // what computes labels: the row of the plan's label_engine.csv, and the digest of its code
    path settings                                           // the level of theory
    path boxes, stageAs: 'boxes/*'                          // of the liquids, where these are labelled by their force fields
    path model, stageAs: 'teacher/*'                        // that labels, where one does
    path store, name: 'label_store.txt'                     // a file of the label store's folder; none where none is kept
    val code        // the digest of the script and of what it imports

    output:
    path '*.labelled.extxyz',   emit: frames
    path '*.labels.parquet',    emit: labels            // one row a frame, the failed ones too
    path 'label_store/**',      emit: shards, optional: true    // new labels, where the store itself cannot be written
    path '*.task.json', topic: tasks

    script:
    """
    export PYSCF_MAX_MEMORY=${task.memory ? task.memory.toMega() : 4000}
    label_frames.py --id ${frames.baseName} --settings ${settings} --frames ${frames} --threads ${task.cpus} ${task.accelerator ? '--device cuda' : ''} \\
        ${boxes ? "--boxes ${boxes}" : ''} ${model ? "--model ${model}" : ''} ${store ? '--store label_store.txt --spare label_store --staged stored' : ''} \\
        ${task.attempt <= task.maxRetries ? '--try-again' : ''} --out ${frames.baseName}
    """

    stub:
    """
    touch ${frames.baseName}.labelled.extxyz ${frames.baseName}.labels.parquet LABEL_FRAMES.${frames.baseName}.task.json
    """
}

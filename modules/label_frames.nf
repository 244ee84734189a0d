// Compute energy, forces and stress of a chunk of frames. A frame that fails is a row with its reason.
process LABEL_FRAMES {
    tag "${frames.baseName}"
    label 'labelling'
    label 'env_dft'

    input:
    path frames     // a chunk of unlabelled frames, extxyz
    path settings   // the level of theory

    output:
    path '*.labelled.extxyz',   emit: frames
    path '*.labels.parquet',    emit: labels            // one row a frame, the failed ones too
    path '*.task.json', topic: tasks

    script:
    """
    # bin: il_engine_cp2k.py il_engine_xtb.py il_frames.py il_task.py
    label_frames.py --id ${frames.baseName} --settings ${settings} --frames ${frames} \\
        --threads ${task.cpus} --out ${frames.baseName}
    """

    stub:
    """
    touch ${frames.baseName}.labelled.extxyz ${frames.baseName}.labels.parquet ${task.process}.${frames.baseName}.task.json
    """
}

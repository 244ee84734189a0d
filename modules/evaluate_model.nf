// Compare a model with the labels of the test frames: by element, ion and recipe, and on the volume scan. Where there are
// no labels, only its atoms and pairs are looked at.
process EVALUATE_MODEL {
    tag "${key}"
    label 'md'
    label 'env_by_engine'
    ext engine: { engine }

    input:
    // engine: the environment that can load the model; train: the dataset that it was trained on, [] where it was not trained here
    tuple val(key), val(engine), path(model), path(train, stageAs: 'train/*')
    path test,    stageAs: 'test/*'
    path heldout, stageAs: 'heldout/*'                  // labelled frames of other chemistry
    path states                                         // a state of each liquid, for its force field
    val code        // the digest of the script and of what it imports

    output:
    path "${key}.evaluation", emit: errors, optional: true        // errors, scan, parity, frame_errors, heldout, dimers and long_range as Parquet
    path '*.failed.json',      emit: failed, optional: true        // why there is nothing
    path '*.task.json', topic: tasks,       optional: true

    script:
    """
    evaluate_model.py --id ${key} --model ${model} --test ${test} --heldout ${heldout} --state ${states} \\
        ${train ? "--train ${train}/train.extxyz" : ''} \\
        --threads ${task.cpus} --device ${task.accelerator ? 'cuda' : 'auto'} --out ${key}.evaluation \\
        --errors EVALUATE_MODEL.${key}.failed.json \\
        || record_failure.py --process EVALUATE_MODEL --keys ${key} --code \$? --out ${key}.evaluation --errors EVALUATE_MODEL.${key}.failed.json
    """

    stub:
    """
    mkdir ${key}.evaluation
    touch EVALUATE_MODEL.${key}.task.json
    """
}

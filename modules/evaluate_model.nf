// Compare a model with the labels of the test frames: by element, ion and recipe, and on the volume scan.
process EVALUATE_MODEL {
    tag "${key}"
    label 'md'
    label 'env_by_engine'
    ext engine: { engine }

    input:
    tuple val(key), val(engine), path(model)            // engine: the environment that can load the model
    path test
    path states                                         // a state of each liquid, for its force field

    output:
    path "${key}.evaluation", emit: errors                        // errors, scan and parity as Parquet
    path '*.task.json', topic: tasks

    script:
    """
    # bin: il_frames.py il_models.py il_task.py
    evaluate_model.py --id ${key} --model ${model} --test ${test} --state ${states} \\
        --threads ${task.cpus} --device ${task.accelerator ? 'cuda' : 'auto'} --out ${key}.evaluation
    """

    stub:
    """
    mkdir ${key}.evaluation
    touch ${task.process}.${key}.task.json
    """
}

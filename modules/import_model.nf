// Check a model that the user brings, before anything opens it, and make a model folder of it.
process IMPORT_MODEL {
    tag "${key}"
    label 'md'
    label 'env_by_engine'
    ext engine: { engine }

    input:
    tuple val(key), val(engine), path(settings), path(weights, stageAs: 'given/*')

    output:
    path 'errors.txt', emit: errors                                     // empty when it can be used
    tuple val(key), path("${key}"), emit: model, optional: true         // weights and model card
    path '*.task.json', topic: tasks,            optional: true

    script:
    """
    # bin: il_checkpoint.py il_models.py il_task.py il_theory.py il_training.py il_weights.py
    import_model.py --id ${key} --settings ${settings} --weights ${weights} --threads ${task.cpus} \\
        --out ${key} --errors errors.txt || { code=\$?; [ -s errors.txt ] || exit \$code; }
    touch errors.txt
    """

    stub:
    """
    mkdir ${key}
    touch errors.txt ${key}/model.json ${task.process}.${key}.task.json
    """
}

// Check a model that the user brings, before anything opens it, and make a model folder of it.
process IMPORT_MODEL {
    tag "${key}"
    label 'md'
    label 'env_by_engine'
    ext engine: { engine }

    input:
    // own_code: the digest of how the framework opens files
    tuple val(key), val(engine), val(own_code), path(settings), path(weights, stageAs: 'given/*')
    val code        // the digest of the script and of what it imports

    output:
    tuple val(key), path("${key}"), emit: model, optional: true         // weights and model card
    path '*.failed.json',            emit: failed, optional: true        // why it cannot be used
    path '*.task.json', topic: tasks,            optional: true

    script:
    """
    import_model.py --id ${key} --settings ${settings} --weights ${weights} --threads ${task.cpus} \\
        --out ${key} --errors IMPORT_MODEL.${key}.failed.json \\
        || record_failure.py --process IMPORT_MODEL --keys ${key} --code \$? --out ${key} --errors IMPORT_MODEL.${key}.failed.json
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/model.json IMPORT_MODEL.${key}.task.json
    """
}

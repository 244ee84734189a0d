// Train one model on one mixture with one seed, in the environment of its framework.
process TRAIN_MODEL {
    tag "${key}"
    label 'train'
    label 'env_by_engine'
    ext engine: { engine }

    input:
    // own_code: the digest of the framework's training; weights, replay: [] where none
    tuple val(key), val(engine), val(own_code), path(settings), path(dataset), path(weights), path(replay)
    path checkpoints, name: 'checkpoints.txt'           // a file of the folder that they are in
    val code        // the digest of the script and of what it imports

    output:
    tuple val(key), path("${key}"), emit: model,  optional: true    // weights, model card, learning curve
    path '*.failed.json',            emit: failed, optional: true    // why there is none
    path '*.task.json', topic: tasks, optional: true

    script:
    """
    train_model.py --id ${key} --settings ${settings} --dataset ${dataset} --summary ${dataset}/dataset.json \\
        ${weights ? "--weights ${weights}" : ''} ${replay ? "--replay ${replay}" : ''} \\
        --checkpoints checkpoints.txt --code ${code}${own_code} --threads ${task.cpus} --device ${task.accelerator ? 'cuda' : 'cpu'} --out ${key} \\
        --errors TRAIN_MODEL.${key}.failed.json \\
        || record_failure.py --process TRAIN_MODEL --keys ${key} --code \$? --out ${key} --errors TRAIN_MODEL.${key}.failed.json
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/model.json TRAIN_MODEL.${key}.task.json
    """
}

// Train one DeePMD model on one mixture with one seed.
process TRAIN_DEEPMD {
    tag "${key}"
    label 'train'
    label 'env_deepmd'

    input:
    tuple val(key), path(settings), path(dataset), path(weights)        // weights: [] where none
    path checkpoints, name: 'checkpoints.txt'           // a file of the folder that they are in

    output:
    tuple val(key), path("${key}"), emit: model,  optional: true    // weights, model card, learning curve
    path '*.failed.txt',            emit: failed, optional: true    // why there is none
    path '*.task.json', topic: tasks, optional: true

    script:
    """
    # bin: il_checkpoint.py il_deepmd_run.py il_loss.py il_models.py il_task.py il_training.py
    train_deepmd.py --id ${key} --settings ${settings} --dataset ${dataset} --summary ${dataset}/dataset.json \\
        ${weights ? "--weights ${weights}" : ''} \\
        --checkpoints checkpoints.txt --threads ${task.cpus} --device ${task.accelerator ? 'cuda' : 'cpu'} --out ${key} \\
        --errors ${task.process}.${key}.failed.txt \\
        || il_failed.py --code \$? --out ${key} --errors ${task.process}.${key}.failed.txt
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/model.json ${task.process}.${key}.task.json
    """
}

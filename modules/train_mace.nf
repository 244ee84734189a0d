// Train one MACE model on one mixture with one seed.
process TRAIN_MACE {
    tag "${key}"
    label 'train'
    label 'env_mace'

    input:
    tuple val(key), path(settings), path(dataset), path(weights), path(replay)      // weights, replay: [] where none
    path checkpoints, name: 'checkpoints.txt'           // a file of the folder that they are in

    output:
    tuple val(key), path("${key}"), emit: model         // weights, model card, learning curve
    path '*.task.json', topic: tasks

    script:
    """
    # bin: il_checkpoint.py il_frames.py il_mace_run.py il_models.py il_task.py il_training.py il_tuning.py il_weights.py
    train_mace.py --id ${key} --settings ${settings} --dataset ${dataset} --summary ${dataset}/dataset.json \\
        ${weights ? "--weights ${weights}" : ''} ${replay ? "--replay ${replay}" : ''} \\
        --checkpoints checkpoints.txt --threads ${task.cpus} --device ${task.accelerator ? 'cuda' : 'cpu'} --out ${key}
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/model.json ${task.process}.${key}.task.json
    """
}

// Make the folder of a model that its user is given: what was trained or imported, a page to read, and the form that LAMMPS loads.
process EXPORT_MODEL {
    tag "${key}"
    label 'light'
    label 'env_by_engine'
    ext engine: { engine }

    input:
    tuple val(key), val(engine), path(model, stageAs: 'model/*')

    output:
    path "${key}/*", emit: files                        // the model folder, README.md, and model.pt-lammps.pt of a MACE model
    path '*.task.json', topic: tasks

    script:
    """
    # bin: il_checkpoint.py il_models.py il_task.py il_training.py
    export_model.py --id ${key} --model ${model} --threads ${task.cpus} --out ${key}
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/README.md ${task.process}.${key}.task.json
    """
}

// Make the folder of a model that its user is given: what was trained or imported, a page to read, and the form that LAMMPS loads.
process EXPORT_MODEL {
    tag "${key}"
    label 'light'
    label 'env_by_engine'
    ext engine: { engine }

    input:
    tuple val(key), val(engine), path(model, stageAs: 'model/*')
    path states, stageAs: 'state/*'                     // one of each liquid, for structures and inputs of LAMMPS
    val code        // the digest of the script and of what it imports

    output:
    path "${key}/*", emit: files                        // the model folder, README.md, and what LAMMPS reads
    path '*.task.json', topic: tasks

    script:
    """
    export_model.py --id ${key} --model ${model} --state ${states} --threads ${task.cpus} --out ${key}
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/README.md EXPORT_MODEL.${key}.task.json
    """
}

// Melt the packed box and equilibrate it with the classical force field: every model starts from here.
process EQUILIBRATE {
    tag "${key}"
    label 'equilibrate'
    label 'env_analysis'

    input:
    tuple val(key), path(settings), path(box)
    val code        // the digest of the script and of what it imports

    output:
    tuple val(key), path("${key}"), emit: state         // start.extxyz, trajectory.dcd, thermo.parquet, ...
    path "${key}.equilibration.parquet", emit: table    // whether its density has converged
    path '*.task.json', topic: tasks

    script:
    """
    equilibrate.py --id ${key} --settings ${settings} --box ${box} --out ${key} --table ${key}.equilibration.parquet
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/start.extxyz ${key}.equilibration.parquet EQUILIBRATE.${key}.task.json
    """
}

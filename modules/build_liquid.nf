// Pack the ions of a liquid into a periodic box and give them a force field.
process BUILD_LIQUID {
    tag "${key}"
    label 'light'
    label 'env_analysis'

    input:
    tuple val(key), path(settings), path(force_field)   // force_field: the user's own OpenMM XML, or nothing
    path assets

    output:
    tuple val(key), path("${key}"), emit: box           // box.extxyz, topology.json, system.xml
    path '*.task.json', topic: tasks

    script:
    """
    # bin: il_forcefield.py il_ions.py il_task.py il_topology.py
    build_liquid.py --id ${key} --settings ${settings} --assets ${assets} \\
        ${force_field ? "--force-field ${force_field}" : ''} --out ${key}
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/box.extxyz ${task.process}.${key}.task.json
    """
}

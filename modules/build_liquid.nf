// Pack the ions of a liquid into a periodic box and give them a force field.
process BUILD_LIQUID {
    tag "${key}"
    label 'light'
    label 'env_analysis'

    input:
    tuple val(key), path(settings), path(force_field)   // force_field: the user's own OpenMM XML, or nothing
    path assets
    val code        // the digest of the script and of what it imports

    output:
    tuple val(key), path("${key}"), emit: box           // box.extxyz, topology.json, system.xml
    path '*.task.json', topic: tasks

    script:
    """
    build_liquid.py --id ${key} --settings ${settings} --assets ${assets} \\
        ${force_field ? "--force-field ${force_field}" : ''} --out ${key}
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/box.extxyz BUILD_LIQUID.${key}.task.json
    """
}

// What the user is told when a run begins, stops or ends.
include { say_progress } from './progress.nf'

// The plan: stages, core-hours and warnings, before the first task.
def say_the_plan(plan, only_estimate) {
    plan.subscribe { folder ->
        println "\n${folder.resolve('plan.txt').text}"
        println workflow.stubRun ? 'A stub run: the plan is real, the tasks only make empty files.\n'
            : only_estimate ? 'So far it is assumed. Two frames of each liquid are labelled now, to see what a label costs here: seconds with xtb, minutes or more with DFT.\n'
            : "What a task is doing: 'tail -f' of .command.log in its folder of ${workflow.workDir} (the letters and digits in [] begin its name).\n"
        say_progress()
    }
}

// At the end: what failed, what is missing, what it came to, and where to look.
def say_the_end(outdir, only_estimate) {
    def trace = "${outdir}/pipeline_info/trace.tsv"
    say_what_failed(trace)
    if (!workflow.success) {
        if (rows_of(trace).any { row -> row.status in ['COMPLETED', 'CACHED'] && !row.name.startsWith('PLAN_STUDY') }) {
            println 'to go on: the same command with -resume; what is done is not done again'
        }
        return
    }
    if (workflow.stubRun) {
        println "to run it: the same command without -stub; until then the files in ${outdir} are empty"
        return
    }
    if (only_estimate) {
        println 'to run it: the same command without --estimate'
        return      // tables that lie there are of an earlier run
    }
    say_what_is_missing("${outdir}/tables")
    def words = file("${outdir}/recommendation.txt")
    println "\n${words.exists() ? words.text : ''}report: ${file("${outdir}/report.html").toUriString() - 'file://'}"
}

def rows_of(trace) {
    def table = file(trace)
    table.exists() ? table.splitCsv(header: true, sep: '\t') : []
}

// One line for each task that failed for good: what it was, what its exit code says and where to look.
def say_what_failed(trace) {
    rows_of(trace).groupBy { row -> row.name }.each { name, tries ->
        def row = tries.max { entry -> entry.task_id as Integer }
        if (row.status in ['FAILED', 'ABORTED']) {
            // What fails before the script has begun, such as the set-up of an environment, leaves .command.log alone.
            def log = ['.command.err', '.command.log'].collect { file_name -> "${row.workdir}/${file_name}" }.find { path -> file(path).exists() }
            def word = log ? file(log).readLines().findAll { line -> line.startsWith('error: ') } : []
            println "failed: ${name.tokenize(':')[-1]}: ${meaning(row.exit)}${tries.size() > 1 ? ", tried ${tries.size()} times" : ''}${word ? ": ${word[-1] - 'error: '}" : ''}; see ${log ?: row.workdir}"
        }
    }
}

// One line for the liquids whose equilibration has not converged: everything that starts from them inherits that.
def say_unequilibrated(path) {
    def table = file(path)
    def rows = table.exists() ? table.splitCsv(header: true, quote: '"') : []
    def poor = rows.findAll { row -> row.converged != 'true' }
    if (poor) {
        def why = poor.take(3).collect { row -> "${row.key}: ${row.reason}" } + (poor.size() > 3 ? ["and ${poor.size() - 3} more"] : [])
        println "liquids that are not equilibrated: ${poor.size()} of ${rows.size()} (${why.join('; ')}); see ${path}"
    }
}

// One line for each table of results that has rows without one: how many, why, and where to look.
def say_what_is_missing(tables) {
    say_unequilibrated("${tables}/equilibration.csv")
    say_failures("${tables}/failures.csv")
    say_missing("${tables}/labels.csv", 'labels that failed', { row -> row.reason })
    say_missing("${tables}/survival.csv", 'runs that broke', { row -> row.end == 'completed' ? '' : row.end })
}

def say_failures(path) {
    def rows = file(path).exists() ? file(path).splitCsv(header: true, quote: '"') : []
    if (rows) {
        def some = rows.take(5).collect { row -> "${row.run_id ?: row.model_key} (${row.stage})" }
        println "models that could not be used: ${some.join(', ')}${rows.size() > 5 ? " and ${rows.size() - 5} more" : ''}; see ${path}"
    }
}

def say_missing(path, what, reason) {
    def table = file(path)
    def rows = table.exists() ? table.splitCsv(header: true, quote: '"') : []
    def why = rows.collect(reason).findAll { word -> word }
    if (why) {
        def counts = why.countBy { word -> word }.sort { a, b -> b.value <=> a.value ?: a.key <=> b.key }
        println "${what}: ${why.size()} of ${rows.size()} (${counts.collect { word, n -> "${word} ${n}" }.join(', ')}); see ${path}"
    }
}

// What an exit code says; the first four are those of bin/ionmelt/errors.py.
def meaning(exit) {
    def meanings = [
        '1': 'a bug, or a program that is not there',
        '2': 'a mistake in the study or in a file',
        '74': 'the disk was full',
        '75': 'out of memory',
        '125': 'the container could not be started: its image may not be there',
        '137': 'killed, most likely for memory',
        '143': 'ended by its time limit or by a scheduler',
        '-': 'it ran past its time limit, or its node was lost',
    ]
    meanings[exit] ?: "exit code ${exit}"
}

// The program every pod's sandbox runs.
module heddle.dev/e2e/cluster/tools/pause

go 1.24.0

// Command heddle-bench-peers is one Go peer as a worker of the protobuf benchmark:
//
//	heddle-bench-peers <subject> <folder of the corpus>
//
// The commands it reads are those of heddle-bench-worker.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"buf.build/go/hyperpb"
)

// An operation on a message, ready to be performed again and again. It returns a message, JSON or a number.
type perform func() (any, error)

// A subject; a nil perform says that it has no such operation.
type engine interface {
	prepare(operation string, message *message) (perform, error)
}

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: heddle-bench-peers <subject> <folder of the corpus>"))
	}
	corpus, err := readCorpus(os.Args[2])
	if err != nil {
		fail(err)
	}
	var subject engine
	switch os.Args[1] {
	case "hyperpb":
		subject = &hyper{shared: new(hyperpb.Shared)}
	case "hyperpb-profiled":
		subject = &hyper{shared: new(hyperpb.Shared), isProfiled: true}
	case "dynamicpb":
		subject = &dynamic{types: corpus.types}
	default:
		fail(fmt.Errorf("there is no subject %s", os.Args[1]))
	}
	if err := serve(subject, corpus); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Answers commands until standard input ends.
func serve(subject engine, corpus *corpus) error {
	prepared := map[string]perform{}
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		answer, err := answer(subject, corpus, prepared, commands.Text())
		if err != nil {
			answer = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		if _, err := fmt.Println(answer); err != nil {
			return err
		}
	}
	return commands.Err()
}

func answer(subject engine, corpus *corpus, prepared map[string]perform, line string) (string, error) {
	words := strings.Split(line, " ")
	if len(words) != 4 {
		return "", fmt.Errorf("a command has four words: %q", line)
	}
	message, ok := corpus.messages[words[2]]
	if !ok {
		return "", fmt.Errorf("no message %s", words[2])
	}
	key := words[1] + " " + words[2]
	if _, ok := prepared[key]; !ok {
		ready, err := subject.prepare(words[1], message)
		if err != nil {
			return "", err
		}
		prepared[key] = ready
	}
	ready := prepared[key]
	if ready == nil {
		return "none", nil
	}
	switch words[0] {
	case "run":
		times, err := strconv.Atoi(words[3])
		if err != nil {
			return "", err
		}
		return run(ready, times)
	case "show":
		return show(ready, words[3])
	}
	return "", fmt.Errorf("no command %s", words[0])
}

// Processor time of all threads, so that what the garbage collector does beside is part of it.
func run(ready perform, times int) (string, error) {
	started, err := processorTime()
	if err != nil {
		return "", err
	}
	for range times {
		if _, err := ready(); err != nil {
			return "", err
		}
	}
	ended, err := processorTime()
	return strconv.FormatInt(ended-started, 10), err
}

func processorTime() (int64, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return usage.Utime.Nano() + usage.Stime.Nano(), nil
}

func show(ready perform, file string) (string, error) {
	result, err := ready()
	if err != nil {
		return "", err
	}
	shown, ok := result.([]byte)
	if !ok {
		shown = fmt.Append(nil, result)
	}
	return "ok", os.WriteFile(file, shown, 0o600)
}

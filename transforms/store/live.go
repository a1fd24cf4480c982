package store

import (
	"slices"
	"sync"
)

// watchers are called by stages in this process, by Config.Run.
var watchers sync.Map

// Watch calls seen with the ledger of each record that a stage in this process has stored
// or rejected for the run, as soon as it has and at every attempt; without offsets. Stages
// in other processes are not seen. Calls come from several goroutines at a time.
func Watch(cfg Config, seen func(Ledger)) (stop func()) {
	watchers.Store(cfg.Run, seen)
	return func() { watchers.Delete(cfg.Run) }
}

func tell(run string, l Ledger) {
	if seen, ok := watchers.Load(run); ok {
		seen.(func(Ledger))(l.Counts())
	}
}

// Counts is a ledger without what grows with its records.
func (l Ledger) Counts() Ledger {
	l.Positions, l.Tables, l.Partitions = nil, nil, slices.Clone(l.Partitions)
	for i, p := range l.Partitions {
		l.Partitions[i] = p.counts()
	}
	return l
}

// counts is a partition without what grows with its records.
func (p Partition) counts() Partition {
	p.Offsets, p.Pictures, p.Rejects, p.Lost, p.Slots = nil, nil, nil, nil, nil
	return p
}

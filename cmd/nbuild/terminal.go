package main

import (
	"fmt"
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"nbuild/graph"
)

// A terminalDisplay shows what runs and for how long, a bar for each, and the counts below. Lines that are worth keeping
// scroll away above the bars.
type terminalDisplay struct {
	lines    *lineDisplay
	progress *mpb.Progress
	total    *mpb.Bar
	bars     map[*graph.Step]*mpb.Bar
	names    map[string]*mpb.Bar // of index files

	steps, done, built, fetched, cached int64
	bytes                               int64
}

// refreshInterval is how often the bars are drawn: often enough to look alive, too seldom to cost anything.
const refreshInterval = 120 * time.Millisecond

func newTerminalDisplay(out io.Writer, lines *lineDisplay) *terminalDisplay {
	progress := mpb.New(mpb.WithOutput(out), mpb.WithWidth(40), mpb.WithRefreshRate(refreshInterval), mpb.WithAutoRefresh())
	lines.out = progress
	return &terminalDisplay{lines: lines, progress: progress, bars: map[*graph.Step]*mpb.Bar{}, names: map[string]*mpb.Bar{}}
}

func (d *terminalDisplay) event(e graph.Event) {
	switch e.Kind {
	case graph.Planned:
		d.plan(e.Total)
		return
	case graph.Started:
		d.start(e.Step)
	case graph.Waiting:
		d.start(e.Step)
		return
	case graph.Progress:
		if bar := d.bars[e.Step]; bar != nil {
			bar.SetTotal(max(e.Total, e.Done, 1), false)
			bar.SetCurrent(e.Done)
		}
	case graph.Finished, graph.Cached, graph.Failed, graph.Canceled, graph.Skipped:
		d.end(e)
	}
	// On a terminal the bars tell what is done; only what verbose asks for and failures are worth a line.
	if d.lines.verbose || e.Kind == graph.Failed {
		d.lines.event(e)
	} else {
		d.lines.text(e)
	}
}

func (d *terminalDisplay) plan(steps int64) {
	d.steps = steps
	if steps == 0 {
		return
	}
	counts := func(decor.Statistics) string {
		text := fmt.Sprintf("%d/%d  %d built, %d fetched", d.done, d.steps, d.built, d.fetched)
		if d.bytes > 0 {
			text += " (" + formatBytes(d.bytes) + ")"
		}
		return text + fmt.Sprintf(", %d cached ", d.cached)
	}
	d.total = d.progress.New(steps, mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding(" ").Rbound("]"),
		mpb.BarPriority(1<<30), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(counts)), mpb.AppendDecorators(decor.Elapsed(decor.ET_STYLE_GO)))
}

func (d *terminalDisplay) start(s *graph.Step) {
	if d.bars[s] != nil {
		return
	}
	d.bars[s] = d.bar(verb(s, "fetch ", "build ")+s.Name(), s.IsDownload())
}

func (d *terminalDisplay) bar(name string, bytes bool) *mpb.Bar {
	decorators := []decor.Decorator{decor.Elapsed(decor.ET_STYLE_GO)}
	if bytes {
		decorators = append(decorators, decor.Counters(decor.SizeB1000(0), "  % .1f of % .1f"))
	}
	return d.progress.New(0, mpb.NopStyle(), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name("  "+name, decor.WCSyncSpaceR)), mpb.AppendDecorators(decorators...))
}

func (d *terminalDisplay) end(e graph.Event) {
	if bar := d.bars[e.Step]; bar != nil {
		bar.Abort(true)
		delete(d.bars, e.Step)
	}
	switch {
	case e.Kind == graph.Cached:
		d.cached++
	case e.Kind == graph.Finished && e.Step.IsDownload():
		d.fetched++
		d.bytes += d.lines.fetched[e.Step]
	case e.Kind == graph.Finished:
		d.built++
	}
	d.done++
	if d.total != nil {
		d.total.SetCurrent(d.done)
	}
}

func (d *terminalDisplay) index(name string, done, total int64) {
	bar := d.names[name]
	if bar == nil {
		bar = d.bar("read "+name, true)
		d.names[name] = bar
	}
	bar.SetTotal(max(total, done, 1), false)
	bar.SetCurrent(done)
	if done == total {
		bar.Abort(true)
	}
}

func (d *terminalDisplay) close() {
	for _, bar := range d.bars {
		bar.Abort(true)
	}
	for _, bar := range d.names {
		bar.Abort(true)
	}
	if d.total != nil {
		d.total.Abort(true)
	}
	d.progress.Wait()
}

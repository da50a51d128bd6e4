package config

import (
	"strconv"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A value of the interpreter doesn't know where it is written, and people want to be shown where an option is defined.
//
// Approach: before a file is compiled, each dictionary in its text is wrapped into a call of a function of ours. At run
// time that notes which of the dictionaries a value was made by, and returns the value as it is. Only dictionaries are
// noted, since definitions are their entries. It costs 0.2 µs for each that is made.

// noteFunction is the name of that function: no identifier, so that no file can call it.
const noteFunction = "{}"

// A written remembers where the dictionaries of an evaluation are written.
type written struct {
	literals []syntax.Expr                      // by the number that the wrapping call has
	made     map[*starlark.Dict]int             // which literal made a dictionary
	entries  map[int]map[string]syntax.Position // of a literal, by key; of those that somebody asked for
}

// wrap wraps the dictionaries of a file.
func (w *written) wrap(file *syntax.File) {
	syntax.Walk(file, func(n syntax.Node) bool {
		w.wrapChildren(n)
		return true
	})
}

func (w *written) wrapChildren(n syntax.Node) {
	switch n := n.(type) {
	case *syntax.AssignStmt:
		w.replace(&n.RHS)
	case *syntax.BinaryExpr:
		w.replace(&n.X, &n.Y)
	case *syntax.CallExpr:
		if dictionary(n) == nil { // Else it is one that was wrapped just now.
			w.replace(&n.Fn)
			w.replaceAll(n.Args)
		}
	case *syntax.Comprehension:
		if !n.Curly { // Else the body is an entry.
			w.replace(&n.Body)
		}
	case *syntax.CondExpr:
		w.replace(&n.Cond, &n.True, &n.False)
	case *syntax.DefStmt:
		w.replaceAll(n.Params)
	case *syntax.DictEntry:
		w.replace(&n.Key, &n.Value)
	case *syntax.DotExpr:
		w.replace(&n.X)
	case *syntax.ExprStmt:
		w.replace(&n.X)
	case *syntax.ForClause:
		w.replace(&n.X)
	case *syntax.ForStmt:
		w.replace(&n.X)
	case *syntax.IfClause:
		w.replace(&n.Cond)
	case *syntax.IfStmt:
		w.replace(&n.Cond)
	case *syntax.IndexExpr:
		w.replace(&n.X, &n.Y)
	case *syntax.LambdaExpr:
		w.replaceAll(n.Params)
		w.replace(&n.Body)
	case *syntax.ListExpr:
		w.replaceAll(n.List)
	case *syntax.ParenExpr:
		w.replace(&n.X)
	case *syntax.ReturnStmt:
		w.replace(&n.Result)
	case *syntax.SliceExpr:
		w.replace(&n.X, &n.Lo, &n.Hi, &n.Step)
	case *syntax.TupleExpr:
		w.replaceAll(n.List)
	case *syntax.UnaryExpr:
		w.replace(&n.X)
	case *syntax.WhileStmt:
		w.replace(&n.Cond)
	}
}

func (w *written) replaceAll(exprs []syntax.Expr) {
	for i := range exprs {
		w.replace(&exprs[i])
	}
}

func (w *written) replace(exprs ...*syntax.Expr) {
	for _, e := range exprs {
		switch x := (*e).(type) {
		case *syntax.DictExpr:
			*e = w.call(x)
		case *syntax.Comprehension:
			if x.Curly {
				*e = w.call(x)
			}
		}
	}
}

func (w *written) call(e syntax.Expr) *syntax.CallExpr {
	number := len(w.literals)
	w.literals = append(w.literals, e)
	start, end := e.Span()
	return &syntax.CallExpr{
		Fn:     &syntax.Ident{NamePos: start, Name: noteFunction},
		Lparen: start,
		Args:   []syntax.Expr{e, &syntax.Literal{Token: syntax.INT, TokenPos: start, Raw: strconv.Itoa(number), Value: int64(number)}},
		Rparen: end,
	}
}

// dictionary returns the dictionary that a call of wrap's wraps, or nil.
func dictionary(call *syntax.CallExpr) syntax.Expr {
	if id, ok := call.Fn.(*syntax.Ident); ok && id.Name == noteFunction {
		return call.Args[0]
	}
	return nil
}

// unwrapped returns an expression as it is written.
func unwrapped(e syntax.Expr) syntax.Expr {
	if call, ok := e.(*syntax.CallExpr); ok {
		if d := dictionary(call); d != nil {
			return d
		}
	}
	return e
}

// note is what the wrapping calls call.
func (w *written) note(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	number, err := starlark.AsInt32(args[1])
	if err != nil {
		return nil, err
	}
	if w.made == nil {
		w.made = map[*starlark.Dict]int{}
	}
	if d, ok := args[0].(*starlark.Dict); ok {
		w.made[d] = number
	}
	return args[0], nil
}

// literal returns where a dictionary is written, if it is known.
func (w *written) literal(d *starlark.Dict) (at syntax.Position, known bool) {
	number, known := w.made[d]
	if !known {
		return at, false
	}
	return syntax.Start(w.literals[number]), true
}

// entry returns where an entry of a dictionary is written, or where the dictionary is when its key is computed.
func (w *written) entry(d *starlark.Dict, key string) (at syntax.Position, known bool) {
	number, known := w.made[d]
	if !known {
		return at, false
	}
	entries, indexed := w.entries[number]
	if !indexed {
		entries = literalEntries(w.literals[number])
		if w.entries == nil {
			w.entries = map[int]map[string]syntax.Position{}
		}
		w.entries[number] = entries
	}
	if at, ok := entries[key]; ok {
		return at, true
	}
	return syntax.Start(w.literals[number]), true
}

// literalEntries returns the entries whose keys are written as literals.
func literalEntries(e syntax.Expr) map[string]syntax.Position {
	entries := map[string]syntax.Position{}
	dict, ok := e.(*syntax.DictExpr)
	if !ok {
		return entries // A comprehension has one entry for all keys.
	}
	for _, e := range dict.List {
		entry := e.(*syntax.DictEntry)
		if key, ok := entry.Key.(*syntax.Literal); ok {
			if name, ok := key.Value.(string); ok {
				entries[name] = syntax.Start(entry)
			}
		}
	}
	return entries
}

package config

import "go.starlark.net/syntax"

// findCall returns the call in the project's files whose opening parenthesis is at a position, or nil.
func (ev *evaluator) findCall(lparen Position) *syntax.CallExpr {
	m := ev.modules[lparen.File]
	if m == nil || m.syntax == nil {
		return nil
	}
	if m.calls == nil {
		m.calls = map[Position]*syntax.CallExpr{}
		syntax.Walk(m.syntax, func(n syntax.Node) bool {
			if call, ok := n.(*syntax.CallExpr); ok {
				m.calls[ev.position(call.Lparen)] = call
			}
			return true
		})
	}
	return m.calls[lparen]
}

// callStart returns where the call begins whose opening parenthesis is at a position: the interpreter knows the
// parenthesis, and people look for the beginning.
func (ev *evaluator) callStart(lparen Position) Position {
	if call := ev.findCall(lparen); call != nil {
		return ev.position(syntax.Start(call))
	}
	return lparen
}

// locate returns where in the call's text a part of its arguments is written: as near to it as the text says, since
// arguments may come from variables, *args and **kwargs.
func (c *call) locate(expr *syntax.CallExpr, p part) Position {
	if p.argument == "" {
		return c.ev.position(syntax.Start(expr))
	}
	for _, arg := range expr.Args {
		if named := namedArgument(arg, p.argument); named != nil {
			return c.ev.locateKeys(named, named.Y, p.keys)
		}
	}
	if a := c.argument(p.argument); a != nil && a.index >= 0 && a.index < len(expr.Args) {
		return c.ev.locateKeys(expr.Args[a.index], expr.Args[a.index], p.keys)
	}
	return c.ev.position(syntax.Start(expr))
}

// namedArgument returns the argument when it is written name = value, or nil.
func namedArgument(arg syntax.Expr, name any) *syntax.BinaryExpr {
	named, ok := arg.(*syntax.BinaryExpr)
	if !ok || named.Op != syntax.EQ {
		return nil
	}
	if id, ok := named.X.(*syntax.Ident); !ok || id.Name != name {
		return nil
	}
	return named
}

// locateKeys goes down into literals as far as the keys lead. at is what to return the place of when they lead nowhere.
func (ev *evaluator) locateKeys(at syntax.Node, value syntax.Expr, keys []any) Position {
	for _, key := range keys {
		next, inner := descend(value, key)
		if next == nil {
			break
		}
		at, value = next, inner
	}
	return ev.position(syntax.Start(at))
}

// descend returns the node of an element of a list, or the key of an entry of a dictionary, and the element's or entry's
// value. It returns nil when the expression is no such literal.
func descend(value syntax.Expr, key any) (syntax.Node, syntax.Expr) {
	switch v := unwrapped(value).(type) {
	case *syntax.ParenExpr:
		return descend(v.X, key)
	case *syntax.ListExpr:
		return element(v.List, key)
	case *syntax.TupleExpr:
		return element(v.List, key)
	case *syntax.DictExpr:
		for _, e := range v.List {
			e := e.(*syntax.DictEntry)
			if k, ok := e.Key.(*syntax.Literal); ok && k.Value == key {
				return e, e.Value
			}
		}
	case *syntax.CallExpr: // struct(mode = …)
		for _, arg := range v.Args {
			if named := namedArgument(arg, key); named != nil {
				return named, named.Y
			}
		}
	}
	return nil, nil
}

func element(list []syntax.Expr, key any) (syntax.Node, syntax.Expr) {
	i, ok := key.(int)
	if !ok || i >= len(list) {
		return nil, nil
	}
	return list[i], list[i]
}

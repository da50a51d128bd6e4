package options_test

import (
	"reflect"
	"regexp"
	"slices"
	"strings"

	"nbuild/config/fault"
)

// packageName is a package's name as Debian has it, and perhaps a version.
var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+(=\S+)?$`)

// scalar returns a value as a type of single values has it, and whether it takes it.
func scalar(t *modelType, v any) (any, bool) {
	switch t.name {
	case "bool":
		_, ok := v.(bool)
		return v, ok
	case "int":
		_, ok := v.(int)
		return v, ok
	case "unsigned":
		i, ok := v.(int)
		return v, ok && i >= 0
	case "port":
		i, ok := v.(int)
		return v, ok && i >= 1 && i <= 65535
	case "float":
		if i, ok := v.(int); ok {
			return float64(i), true
		}
		_, ok := v.(float64)
		return v, ok
	case "str":
		if o, ok := v.(storedValue); ok {
			return o.path(), true
		}
		_, ok := v.(string)
		return v, ok
	case "path":
		if _, ok := v.(storedValue); ok {
			return v, true
		}
		s, ok := v.(string)
		return v, ok && strings.HasPrefix(s, "/")
	case "package":
		if o, ok := v.(storedValue); ok {
			return v, o.kind == "derivation"
		}
		s, ok := v.(string)
		return v, ok && packageName.MatchString(s)
	case "secret":
		_, ok := v.(secretValue)
		return v, ok
	case "enum":
		return v, slices.ContainsFunc(t.values, func(e expr) bool { return e.(literalExpr).value == v })
	case "anything":
		return v, true
	}
	panic("no type of single values: " + t.name)
}

func (o storedValue) path() string { return "/nbuild/store/0123456789abcdfghijklmnpqrsvwxyz-" + o.name }

// run returns what a module defines, or nil when it can't say.
func (n *naive) run(m *modelModule, before *naiveState) any {
	variables := map[string]any{}
	for _, s := range m.statements {
		goOn := n.step(s, variables, before)
		if !goOn {
			return nil
		}
	}
	if m.result == nil {
		return nil
	}
	return evaluateExpr(m.result, variables)
}

// step runs a statement and reports whether the function goes on behind it.
func (n *naive) step(s *statement, variables map[string]any, before *naiveState) bool {
	wrong := func() bool {
		n.fault("failed", nil, s.at)
		return false
	}
	operand := variables[s.operand]
	number, isNumber := operand.(int)
	switch s.op {
	case "read":
		v, ok := n.read(s, before)
		variables[s.variable] = v
		return ok
	case "next", "capped":
		if !isNumber {
			return wrong()
		}
		variables[s.variable] = number + 1
		if s.op == "capped" {
			variables[s.variable] = min(number+1, s.literal)
		}
	case "not":
		variables[s.variable] = !truth(operand)
	case "length":
		length, ok := length(operand)
		if !ok {
			return wrong()
		}
		variables[s.variable] = length
	case "equals":
		variables[s.variable] = reflect.DeepEqual(operand, s.literal) || reflect.DeepEqual(operand, float64(s.literal))
	case "has":
		switch v := operand.(type) {
		case []any:
			variables[s.variable] = slices.ContainsFunc(v, func(e any) bool { return e == "k1" })
		case map[string]any:
			_, has := v["k1"]
			variables[s.variable] = has
		default:
			return wrong()
		}
	case "return if":
		return !truth(operand)
	case "fail if":
		if truth(operand) {
			return wrong()
		}
	default:
		panic("no such statement: " + s.op)
	}
	return true
}

// read returns what is read from the configuration, and whether the function can go on.
func (n *naive) read(s *statement, before *naiveState) (any, bool) {
	i := slices.IndexFunc(n.options, func(o *modelOption) bool {
		return len(o.path) <= len(s.read) && slices.Equal(o.path, s.read[:len(o.path)])
	})
	if i < 0 {
		n.faults = append(n.faults, naiveFault{"unknown", dotted(s.read), s.at}) // Also where unknown definitions are allowed.
		return nil, false
	}
	option := n.options[i]
	value, defined := before.values[option.name()]
	switch {
	case before.faulty[option.name()]:
		return nil, false
	case !defined:
		n.fault("undefined", option.path, s.at)
		return nil, false
	}
	path := slices.Clone(option.path)
	for _, label := range append(slices.Clone(s.read[len(path):]), s.steps...) {
		path = append(path, label)
		switch v := value.(type) {
		case attributes:
			if value, defined = v[label]; !defined {
				n.fault("undefined", path, s.at)
				return nil, false
			}
		case map[string]any:
			if value, defined = v[label]; !defined {
				n.fault("failed", nil, s.at)
				return nil, false
			}
		default:
			n.fault("failed", nil, s.at)
			return nil, false
		}
	}
	return value, true
}

func truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case int:
		return v != 0
	case float64:
		return v != 0
	}
	length, ok := length(v)
	return !ok || length > 0
}

func length(v any) (int, bool) {
	switch v := v.(type) {
	case string:
		return len(v), true
	case []any:
		return len(v), true
	case map[string]any:
		return len(v), true
	}
	return 0, false
}

// evaluateExpr returns the value of an expression, with the functions around values left in place.
func evaluateExpr(e expr, variables map[string]any) any {
	switch e := e.(type) {
	case literalExpr:
		return e.value
	case variableExpr:
		return written(variables[e.name])
	case listExpr:
		return evaluateAll(e.items, variables)
	case *dictExpr:
		d := &naiveDict{at: e.at}
		for _, en := range e.entries {
			d.entries = append(d.entries, naiveEntry{en.key, evaluateExpr(en.value, variables), en.at})
		}
		return d
	case *wrapExpr:
		return &naiveWrapped{*e, evaluateAll(e.arguments, variables)}
	}
	panic("no such expression")
}

func evaluateAll(exprs []expr, variables map[string]any) []any {
	values := []any{}
	for _, e := range exprs {
		values = append(values, evaluateExpr(e, variables))
	}
	return values
}

// written makes a merged value one that defines something again. Its parts have no place of their own.
func written(v any) any {
	switch v := v.(type) {
	case []any:
		values := []any{}
		for _, item := range v {
			values = append(values, written(item))
		}
		return values
	case map[string]any:
		d := &naiveDict{}
		for _, key := range sortedKeys(v) {
			d.entries = append(d.entries, naiveEntry{key, written(v[key]), fault.Position{}})
		}
		return d
	}
	return v
}

func sortedKeys(m map[string]any) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

package config

import "nbuild/config/fault"

// What is wrong in a project is told in the terms of package fault.
type (
	// A Position is a place in a project's file. The zero value is no place.
	Position = fault.Position
	// An Item is one thing that is wrong in a project.
	Item = fault.Item
	// An Error says that a project is wrong: the user's input, that is, and not nbuild.
	Error = fault.Error
)

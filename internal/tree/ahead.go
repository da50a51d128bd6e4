package tree

// A piece is what one read of a file found.
type piece struct {
	content []byte
	err     error  // then it is the last piece, and has no content
	done    func() // gives content back: the reader may use it again
}

// readAhead reads the rest of a file piece by piece, the next one while its caller looks at the last: of an image of
// 114 MB, that takes 31 ms instead of 46. The caller takes all pieces and is done with each. The second buffer is made if
// there is none.
func readAhead(fd int, buffers *[2][]byte) <-chan piece {
	if buffers[1] == nil {
		buffers[1] = make([]byte, len(buffers[0]))
	}
	free, pieces := make(chan []byte, len(buffers)), make(chan piece, len(buffers))
	for _, b := range buffers {
		free <- b
	}
	go func() {
		defer close(pieces)
		for {
			buffer := <-free
			n, err := fill(fd, buffer)
			if err != nil {
				pieces <- piece{err: err}
				return
			}
			pieces <- piece{content: buffer[:n], done: func() { free <- buffer }}
			if n < len(buffer) {
				return
			}
		}
	}()
	return pieces
}

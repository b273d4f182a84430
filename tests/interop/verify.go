// Checks a log's static files with golang.org/x/mod: code that nobody of this project has written.
//
//	verify FOLDER VKEY            the checkpoint's signature, and every record against its root, over the tiles
//	verify proofs < LINES         proofs, each a line of words: numbers in decimal, hashes in hex
//	                                  record SIZE INDEX ROOT LEAF [HASH…]
//	                                  tree   NEW OLD NEW-ROOT OLD-ROOT [HASH…]
//
// What it found goes to stdout; the first difference goes to stderr, with status 1.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8 // of a tile of C2SP tlog-tiles

func main() {
	var found string
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "proofs":
		found, err = checkProofs()
	case len(os.Args) == 3:
		found, err = checkFolder(os.Args[1], os.Args[2])
	default:
		err = fmt.Errorf("expected FOLDER VKEY, or proofs")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(found)
}

func checkFolder(folder, vkey string) (string, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return "", err
	}
	signed, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return "", err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	tree, err := parseCheckpoint(opened.Text, verifier.Name())
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	reader := tlog.TileHashReader(tree, tiles(folder))
	for first := int64(0); first < tree.N; first += 1 << height {
		records, err := readBundle(folder, first, tree.N)
		if err != nil {
			return "", err
		}
		for i, record := range records {
			if err := checkRecord(tree, first+int64(i), record, reader); err != nil {
				return "", fmt.Errorf("record %d: %w", first+int64(i), err)
			}
		}
	}
	return fmt.Sprintf("%s: %d records, %d signatures known, %d not", verifier.Name(), tree.N, len(opened.Sigs), len(opened.UnverifiedSigs)), nil
}

// The three lines of a C2SP checkpoint; tlog.ParseTree reads the one of Go's own log, whose first line is another.
func parseCheckpoint(text, origin string) (tlog.Tree, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] != origin || lines[3] != "" {
		return tlog.Tree{}, fmt.Errorf("expected the lines %s, size and root, found %q", origin, text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 1 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, fmt.Errorf("expected a size, found %q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

func checkRecord(tree tlog.Tree, index int64, record []byte, reader tlog.HashReader) error {
	proof, err := tlog.ProveRecord(tree.N, index, reader)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(record))
}

// The entry bundle that begins with record `first`: 16-bit length and bytes of each.
func readBundle(folder string, first, size int64) ([][]byte, error) {
	width := size - first
	if width > 1<<height {
		width = 1 << height
	}
	path := strings.Replace(tlog.Tile{H: height, L: 0, N: first >> height, W: int(width)}.Path(), "tile/8/0/", "tile/entries/", 1)
	data, err := os.ReadFile(filepath.Join(folder, path))
	if err != nil {
		return nil, err
	}
	var records [][]byte
	for len(data) >= 2 {
		length := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+length {
			return nil, fmt.Errorf("%s: expected %d bytes of a record, found %d", path, length, len(data)-2)
		}
		records = append(records, data[2:2+length])
		data = data[2+length:]
	}
	if len(data) != 0 || int64(len(records)) != width {
		return nil, fmt.Errorf("%s: expected %d records, found %d and %d bytes", path, width, len(records), len(data))
	}
	return records, nil
}

// The folder of a log, as a tlog.TileReader.
type tiles string

func (folder tiles) Height() int { return height }

func (folder tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (folder tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1) // Go's paths name the height
		data, err := os.ReadFile(filepath.Join(string(folder), path))
		if err != nil {
			return nil, err
		}
		if len(data) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s: expected %d bytes, found %d", path, tile.W*tlog.HashSize, len(data))
		}
		found = append(found, data)
	}
	return found, nil
}

func checkProofs() (string, error) {
	count := 0
	lines := bufio.NewScanner(os.Stdin)
	for ; lines.Scan(); count++ {
		words := strings.Fields(lines.Text())
		if len(words) < 5 {
			return "", fmt.Errorf("expected at least 5 words, found %q", lines.Text())
		}
		first, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return "", err
		}
		second, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil {
			return "", err
		}
		var hashes []tlog.Hash
		for _, word := range words[3:] {
			hash := tlog.Hash{}
			if n, err := hex.Decode(hash[:], []byte(word)); err != nil || n != tlog.HashSize {
				return "", fmt.Errorf("expected a hash, found %q", word)
			}
			hashes = append(hashes, hash)
		}
		switch words[0] {
		case "record":
			err = tlog.CheckRecord(hashes[2:], first, hashes[0], second, hashes[1])
		case "tree":
			err = tlog.CheckTree(hashes[2:], first, hashes[0], second, hashes[1])
		default:
			err = fmt.Errorf("expected record or tree")
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", lines.Text(), err)
		}
	}
	return fmt.Sprintf("%d proofs", count), lines.Err()
}

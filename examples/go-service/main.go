// A small web service: it greets, and numbers each answer.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

var version = "dev"

func greet(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	answer := map[string]string{"hello": chi.URLParam(r, "name"), "id": uuid.NewString(), "version": version}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		log.Print(err)
	}
}

func main() {
	show := flag.Bool("version", false, "print the version and end")
	listen := flag.String("listen", ":8080", "the address to serve on; port 0 takes a free one")
	flag.Parse()
	if *show {
		fmt.Println("go-service", version)
		return
	}
	router := chi.NewRouter()
	router.Get("/hello/{name}", greet)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, router))
}

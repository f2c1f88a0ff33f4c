// The format of server-sent events.

/** Frames of text/event-stream out of pieces of text, as the HTML standard reads them; lines end with LF. */
export class Parser {
  #rest = "";
  #frame = {};

  take(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    const frames = [];
    for (const line of lines) {
      if (line === "") {
        if (Object.keys(this.#frame).length) frames.push(this.#frame);
        this.#frame = {};
      } else {
        this.#read(line);
      }
    }
    return frames;
  }

  #read(line) {
    const colon = line.indexOf(":");
    if (colon < 1) return;
    const value = line.slice(colon + 1).replace(/^ /, "");
    switch (line.slice(0, colon)) {
      case "id": this.#frame.id = value; break;
      case "retry": this.#frame.retry = Number(value); break;
      case "event": this.#frame.name = value; break;
      case "data": this.#frame.data = this.#frame.data === undefined ? value : `${this.#frame.data}\n${value}`; break;
      default:
    }
  }
}

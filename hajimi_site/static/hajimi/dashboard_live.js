// Brings snapshots: by a websocket, or by asking when that does not get through. Nothing while nobody looks.
const POLL_MS = 2000;
const OPEN_MS = 4000;
const SILENT_MS = 6000;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30000;
const LOGGED_OUT = 4401;

export function follow(page, on) {
  new Line(page, on).begin();
}

class Line {
  constructor(page, on) {
    this.page = page;
    this.on = on;
    this.pause = FIRST_PAUSE_MS;
    this.socket = null;
    this.timers = {};
    this.isOver = false;
    this.isPolling = false;
  }

  begin() {
    this.on.state("connecting");
    document.addEventListener("visibilitychange", () => (document.hidden ? this.rest() : this.connect()));
    window.addEventListener("online", () => this.connect());
    if (!document.hidden) this.connect();
  }

  // A hidden page costs the server nothing.
  rest() {
    this.stopPolling();
    clearTimeout(this.timers.retry);
    this.hangUp();
  }

  connect() {
    if (this.isOver || document.hidden || this.socket) return;
    clearTimeout(this.timers.retry);
    const address = new URL(this.page.socket, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    let socket;
    try {
      socket = this.socket = new WebSocket(address);
    } catch {
      this.lost();
      return;
    }
    this.watch(socket, OPEN_MS);
    socket.onmessage = (event) => {
      if (socket !== this.socket) return;
      this.watch(socket, SILENT_MS);
      this.stopPolling();
      this.pause = FIRST_PAUSE_MS;
      this.on.state("live");
      this.on.snapshot(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (socket !== this.socket) return;
      if (event.code === LOGGED_OUT) this.loggedOut();
      else this.lost();
    };
  }

  // A connection may die without a word: no snapshot for a while means the same.
  watch(socket, milliseconds) {
    clearTimeout(this.timers.watch);
    this.timers.watch = setTimeout(() => socket === this.socket && this.lost(), milliseconds);
  }

  hangUp() {
    clearTimeout(this.timers.watch);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  lost() {
    this.hangUp();
    if (this.isOver) return;
    if (!this.isPolling) this.on.state("lost");
    this.startPolling();
    this.timers.retry = setTimeout(() => this.connect(), this.pause);
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
  }

  startPolling() {
    if (this.isPolling) return;
    this.isPolling = true;
    this.poll();
  }

  stopPolling() {
    this.isPolling = false;
    clearTimeout(this.timers.poll);
  }

  async poll() {
    try {
      const answer = await fetch(this.page.snapshot, { headers: { accept: "application/json" }, cache: "no-store" });
      if (answer.status === 401 || answer.status === 403) return this.loggedOut();
      if (!answer.ok) throw new Error(String(answer.status));
      const snapshot = await answer.json();
      if (!this.isPolling) return;
      this.on.state("polling");
      this.on.snapshot(snapshot);
    } catch {
      if (this.isPolling) this.on.state("lost");
    }
    if (this.isPolling) this.timers.poll = setTimeout(() => this.poll(), POLL_MS);
  }

  loggedOut() {
    this.isOver = true;
    this.rest();
    this.on.state("logged_out");
  }
}

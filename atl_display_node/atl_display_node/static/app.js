// Shows the face: a WebSocket carries the WebRTC handshake, pictures and sound come through one peer connection.
// Whatever breaks, it tries again by itself.
'use strict';

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5000;
const STALLED_MS = 4000; // no picture for so long: say so
const GIVE_UP_MS = 12000; // the handshake leads nowhere: begin again

const element = (id) => document.getElementById(id);
const face = element('face');
const stage = element('stage');
const sound = element('sound');

let attempt = 0;
let session = null;

function tell(state, text) {
  element('state').dataset.state = state;
  element('state-text').textContent = text;
}

/** One connection from its beginning to its end; `end` may be called more than once. */
class Session {
  constructor() {
    this.ended = false;
    this.lastFrames = 0;
    this.lastChange = performance.now();
    this.peer = new RTCPeerConnection({ iceServers: [] });
    this.stream = new MediaStream();
    this.peer.addTransceiver('video', { direction: 'recvonly' });
    this.peer.addTransceiver('audio', { direction: 'recvonly' });
    this.peer.ontrack = (event) => this.receive(event);
    this.peer.onconnectionstatechange = () => this.follow();
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    this.socket = new WebSocket(`${scheme}://${location.host}/ws`);
    this.socket.onopen = () => this.offer().catch((error) => this.end(error.message));
    this.socket.onmessage = (event) => this.hear(JSON.parse(event.data)).catch((error) => this.end(error.message));
    this.socket.onclose = () => this.end('Connection lost');
    this.deadline = setTimeout(() => this.peer.connectionState === 'connected' || this.end('No answer'), GIVE_UP_MS);
    this.watch = setInterval(() => this.look(), 1000);
  }

  async offer() {
    await this.peer.setLocalDescription(await this.peer.createOffer());
    this.socket.send(JSON.stringify({ offer: this.peer.localDescription.sdp }));
  }

  async hear(message) {
    if (message.busy) {
      this.end(message.busy);
    } else if (message.answer) {
      await this.peer.setRemoteDescription({ type: 'answer', sdp: message.answer });
    }
  }

  receive(event) {
    event.receiver.jitterBufferTarget = 0; // the playout has smoothed already: wait for nothing more
    this.stream.addTrack(event.track);
    if (face.srcObject !== this.stream) {
      face.srcObject = this.stream;
    }
    play();
  }

  follow() {
    const state = this.peer.connectionState;
    if (state === 'connected') {
      attempt = 0;
      tell('waiting', 'Waiting for the face');
    } else if (state === 'failed' || state === 'closed') {
      this.end('Connection lost');
    }
  }

  /** Once a second: are pictures coming, and how many? */
  async look() {
    if (this.peer.connectionState !== 'connected') {
      return;
    }
    const reports = [...(await this.peer.getStats()).values()];
    const video = reports.find((report) => report.type === 'inbound-rtp' && report.kind === 'video');
    const frames = video?.framesDecoded ?? 0;
    const now = performance.now();
    if (frames !== this.lastFrames) {
      const seconds = (now - this.lastChange) / 1000;
      const rate = Math.min(60, Math.round((frames - this.lastFrames) / Math.max(0.5, seconds)));
      this.lastFrames = frames;
      this.lastChange = now;
      element('figures').textContent = `${face.videoWidth} × ${face.videoHeight} · ${rate} frames/s`;
      stage.dataset.live = 'true';
      tell('live', 'Live');
    } else if (now - this.lastChange > STALLED_MS) {
      element('figures').textContent = '\u00a0';
      tell('waiting', 'Waiting for the face');
    }
  }

  end(reason) {
    if (this.ended) {
      return;
    }
    this.ended = true;
    clearTimeout(this.deadline);
    clearInterval(this.watch);
    this.peer.close();
    this.socket.close();
    element('figures').textContent = '\u00a0';
    tell('lost', `${reason} – reconnecting`);
    setTimeout(connect, Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** attempt));
    attempt += 1;
  }
}

function connect() {
  session = new Session();
}

/** Play with sound where the browser allows it, silently otherwise; the button is there for the rest. */
async function play() {
  try {
    face.muted = sound.dataset.wanted === 'false';
    await face.play();
  } catch (error) {
    if (error.name !== 'NotAllowedError') {
      return; // a newer picture source took over
    }
    face.muted = true;
    await face.play().catch(() => undefined);
  }
  showSound();
}

function showSound() {
  sound.hidden = false;
  sound.setAttribute('aria-pressed', String(!face.muted));
  element('sound-text').textContent = face.muted ? 'Turn sound on' : 'Turn sound off';
  sound.title = face.muted ? 'Turn sound on (M)' : 'Turn sound off (M)';
}

function toggleSound() {
  face.muted = !face.muted;
  sound.dataset.wanted = String(!face.muted);
  face.play().catch(() => undefined);
  showSound();
}

function toggleFull() {
  if (document.fullscreenElement) {
    document.exitFullscreen();
  } else {
    stage.requestFullscreen?.();
  }
}

face.addEventListener('resize', () => {
  // A square or upright portrait fills the card; a wide picture keeps its sides.
  stage.dataset.fit = face.videoWidth > 1.2 * face.videoHeight ? 'contain' : 'cover';
});
sound.addEventListener('click', toggleSound);
element('full').addEventListener('click', toggleFull);
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  if (event.key === 'm') {
    toggleSound();
  } else if (event.key === 'f') {
    toggleFull();
  }
});
window.addEventListener('pagehide', () => session?.socket.close());
connect();

/** Two recordings under one control: both run, and one hears A, B or something between. */

/** @typedef {{a: number, b: number, seconds: number, score: number}} Moment */

export class Pair {
  /** @param {() => void} onChange Called when anything worth drawing changes. */
  constructor(onChange) {
    this.onChange = onChange;
    this.a = new Audio();
    this.b = new Audio();
    this.fade = 0;
    this.timer = 0;
    this.turn = 0;
    /** What follows the seconds that are heard now. @type {(() => void) | null} */
    this.next = null;
    /** @type {string | null} */
    this.error = null;
    for (const sound of [this.a, this.b]) {
      sound.preload = "metadata";
      for (const name of ["timeupdate", "play", "pause", "durationchange"]) sound.addEventListener(name, onChange);
      sound.addEventListener("ended", () => this.#onEnd(sound));
      sound.addEventListener("error", () => {
        if (!sound.getAttribute("src")) return;
        this.error = "This browser cannot play this file.";
        onChange();
      });
    }
  }

  /** @param {string} a Address. @param {string} b Address, or empty for one recording alone. */
  load(a, b) {
    this.stopTimer();
    this.error = null;
    this.#set(this.a, a);
    this.#set(this.b, b);
    this.setFade(0);
  }

  get paired() {
    return this.b.hasAttribute("src");
  }

  get paused() {
    return this.a.paused && this.b.paused;
  }

  async play() {
    const sounds = this.paired ? [this.a, this.b] : [this.a];
    await Promise.allSettled(sounds.map((sound) => sound.play()));
    this.onChange();
  }

  pause() {
    this.stopTimer();
    this.a.pause();
    this.b.pause();
    this.onChange();
  }

  toggle() {
    if (this.paused) this.play();
    else this.pause();
  }

  /** @param {number} fade 0 for A, 1 for B; between them both at equal power. */
  setFade(fade) {
    this.fade = fade;
    for (const [sound, level] of /** @type {[HTMLAudioElement, number][]} */ ([
      [this.a, Math.cos((fade * Math.PI) / 2)],
      [this.b, Math.sin((fade * Math.PI) / 2)],
    ])) {
      sound.volume = Math.min(1, Math.max(0, level));
      sound.muted = level < 0.01; // where the volume belongs to the device, muting still switches
    }
    this.onChange();
  }

  switch() {
    this.stopTimer();
    this.setFade(this.fade < 0.5 ? 1 : 0);
    const heard = this.fade < 0.5 ? this.a : this.b;
    if (heard.ended && !this.paused) heard.play().catch(() => {}); // from its beginning
  }

  /**
   * Play the seconds that match: those of A, then those of B.
   * @param {Moment} moment
   */
  async hear(moment) {
    this.stopTimer();
    this.setFade(0);
    this.a.currentTime = moment.a;
    this.b.currentTime = moment.b;
    const turn = this.turn;
    await this.play();
    if (turn !== this.turn) return; // another moment was chosen meanwhile
    const length = 1000 * Math.max(1.5, moment.seconds);
    this.#after(length, () => {
      this.b.currentTime = moment.b;
      this.setFade(1);
      if (this.b.paused) this.b.play().catch(() => {});
      this.#after(length, () => this.pause());
    });
  }

  /** @param {number} milliseconds @param {() => void} next Comes then, or when what is heard ends before. */
  #after(milliseconds, next) {
    this.next = () => {
      this.stopTimer();
      next();
    };
    this.timer = window.setTimeout(this.next, milliseconds);
  }

  stopTimer() {
    clearTimeout(this.timer);
    this.next = null;
    this.turn++;
  }

  /** @param {HTMLAudioElement} sound The one that is not heard may end without ending the other. */
  #onEnd(sound) {
    const heard = this.fade < 0.5 ? this.a : this.b;
    if (sound !== heard && !heard.ended) return this.onChange();
    if (this.next) this.next();
    else this.pause();
  }

  unload() {
    this.pause();
    this.#set(this.a, "");
    this.#set(this.b, "");
  }

  /** @param {HTMLAudioElement} sound @param {string} address */
  #set(sound, address) {
    if ((sound.getAttribute("src") ?? "") === address) return;
    sound.pause();
    if (address) sound.src = address;
    else sound.removeAttribute("src");
    sound.load();
  }
}

/**
 * Lets the search of this site run when a page is opened from a folder (file://).
 *
 * The theme searches in a Worker, which browsers refuse to start from a file. Here the script of the worker runs in a
 * hidden iframe instead. Only what the theme uses is offered: postMessage, terminate, and "message" events.
 */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      this.receive = (event) => {
        if (event.source === inside) this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      };
      addEventListener("message", this.receive);
      this.ready = new Promise((resolve) => this.frame.addEventListener("load", resolve, { once: true }));
      const page = inside.document;
      page.open();
      page.write(
        "<script>postMessage = (data) => parent.dispatchEvent(" +
          'new MessageEvent("message", { data, source: window }));</scr' +
          "ipt>",
      );
      page.write(`<script src="${new URL(url, location)}"></scr` + "ipt>");
      page.close();
    }

    postMessage(data) {
      this.ready.then(() =>
        this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data, source: window })),
      );
    }

    terminate() {
      removeEventListener("message", this.receive);
      this.frame.remove();
    }
  };
}

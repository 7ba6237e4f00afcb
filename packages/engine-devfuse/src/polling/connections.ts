/**
 * The connections that this process serves, all on one thread. If there are several, polling for a request of one would keep the others
 * waiting, and idle processors that poll for one would be measured by the requests of all: so polling is for a single connection.
 */
class Connections {
  #count = 0;

  get several(): boolean {
    return this.#count > 1;
  }
  begun(): void {
    this.#count++;
  }
  ended(): void {
    this.#count--;
  }
}

export const connections = new Connections();
